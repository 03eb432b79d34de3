"""Hugging Face fast tokenizers: loaded from a folder, file, URL or hub name, with the roles of
their special tokens.

A tokenizer is a folder with `tokenizer.json` and, for the roles of its special tokens,
`tokenizer_config.json`. Without the second file the usual names (`<mask>`, `[MASK]`, ...) decide.
Folders with the files of a slow tokenizer are converted by `transformers`, if it is installed.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from socket import getaddrinfo
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
from tokenizers import Tokenizer

from noisebeam.transforms.data.vocabulary import Vocabulary
from noisebeam.transforms.io.storage import read_bytes

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"

_USUAL_NAMES = {
    "mask": ("<mask>", "[MASK]", "<|mask|>"),
    "pad": ("<pad>", "[PAD]", "<|padding|>"),
    "bos": ("<s>", "[CLS]", "<bos>", "<|startoftext|>", "<|endoftext|>"),
    "eos": ("</s>", "[SEP]", "<eos>", "<|endoftext|>"),
}
_SENTINEL = re.compile(r"<extra_id_(\d+)>")


class TokenizerError(ValueError):
    """Error: a tokenizer cannot be read, or lacks a token that is needed."""


@dataclass(frozen=True)
class LoadedTokenizer:
    """The two files of a tokenizer as text, and the name by which it was loaded."""

    name: str  # as it was asked for
    tokenizer_json: str
    config_json: str = "{}"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the tokenizer's file `tokenizer.json`, in hexadecimal digits."""
        return hashlib.sha256(self.tokenizer_json.encode()).hexdigest()

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer as an object of the `tokenizers` library, without the truncation and
        padding that its file may set.
        """
        return self._parsed()[0]

    @property
    def vocabulary(self) -> Vocabulary:
        """The ids of the tokenizer and their roles, as a `Vocabulary`."""
        return self._parsed()[1]

    def with_tokens(self, tokens: Sequence[str]) -> LoadedTokenizer:
        """Return the tokenizer with these special tokens; those that it does not have are appended
        to its vocabulary.
        """
        if not tokens:
            return self
        tokenizer = Tokenizer.from_str(self.tokenizer_json)
        tokenizer.add_special_tokens(list(tokens))
        return LoadedTokenizer(self.name, tokenizer.to_str(), self.config_json)

    def _parsed(self) -> tuple[Tokenizer, Vocabulary]:
        """Return the tokenizer object and its vocabulary; raise TokenizerError if the files are not
        valid.
        """
        try:
            return _parse(self.tokenizer_json, self.config_json)
        except Exception as error:  # the tokenizers library raises bare Exceptions
            raise TokenizerError(
                f"tokenizer {self.name!r}: its files cannot be read: {error}"
            ) from error


def load_tokenizer(name: str) -> LoadedTokenizer:
    """Load a tokenizer, given a folder, a `tokenizer.json` file, the fsspec URL of a folder, or a
    name on the Hugging Face hub.

    Raises TokenizerError, in one line, if there is none or if it cannot be read.
    """
    if "://" in name or Path(name).exists():
        loaded = _from_folder(name)
    elif name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise TokenizerError(f"tokenizer {name!r}: no such file or folder")
    else:
        loaded = _from_hub(name)
    _ = loaded.vocabulary
    return loaded


@lru_cache(maxsize=4)
def load_once(name: str, fingerprint: str) -> LoadedTokenizer:
    """Load a tokenizer once in a process; raise TokenizerError if its fingerprint differs from the
    expected one.
    """
    loaded = load_tokenizer(name)
    if loaded.fingerprint != fingerprint:
        raise TokenizerError(
            f"tokenizer {name!r}: expected {TOKENIZER_FILE} with SHA-256 {fingerprint}, found "
            f"{loaded.fingerprint}; "
            "make the same files available to every worker"
        )
    return loaded


def _from_folder(name: str) -> LoadedTokenizer:
    """Load a tokenizer from a folder or from a `tokenizer.json` file, local or remote."""
    folder, _, last = name.rstrip("/").rpartition("/")
    if last != TOKENIZER_FILE:
        folder = name.rstrip("/")
    text = _read_text(f"{folder or '.'}/{TOKENIZER_FILE}")
    if text is None:
        return _converted(name)
    return LoadedTokenizer(name, text, _read_text(f"{folder or '.'}/{CONFIG_FILE}") or "{}")


def _read_text(url: str) -> str | None:
    """Return the text of a file; None if it does not exist. Raises TokenizerError if it cannot be
    read.
    """
    try:
        return read_bytes(url).decode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TokenizerError(f"tokenizer: {error}") from error
    except UnicodeDecodeError as error:
        raise TokenizerError(f"tokenizer: {url} is no UTF-8: {error}") from error


def _from_hub(name: str) -> LoadedTokenizer:
    """Download a tokenizer from the Hugging Face hub and load it."""
    from huggingface_hub import constants, hf_hub_download

    # The cache alone is looked into at once; the hub is asked again and again for half a minute.
    fetch = partial(hf_hub_download, name, local_files_only=not _reachable(constants.ENDPOINT))
    try:
        tokenizer_json = Path(fetch(TOKENIZER_FILE)).read_text(encoding="utf-8")
        config_json = Path(fetch(CONFIG_FILE)).read_text(encoding="utf-8")
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TokenizerError(
            f"tokenizer {name!r}: no such folder here, and the Hugging Face hub does not give it "
            f"({reason}); "
            f"give a folder with a {TOKENIZER_FILE}"
        ) from error
    return LoadedTokenizer(name, tokenizer_json, config_json)


def _reachable(endpoint: str) -> bool:
    """Return False if the host of a URL has no address, and there is no proxy to look it up."""
    if getproxies():
        return True
    try:
        getaddrinfo(urlsplit(endpoint).hostname, 443)
    except OSError:
        return False
    return True


def _converted(name: str) -> LoadedTokenizer:
    """Load a folder with the files of a slow tokenizer, converted by `transformers`."""
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise TokenizerError(
            f"tokenizer {name!r}: there is no {TOKENIZER_FILE}; install transformers to convert "
            "other files"
        ) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        text = tokenizer.backend_tokenizer.to_str()
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TokenizerError(
            f"tokenizer {name!r}: there is no {TOKENIZER_FILE}, nor files to make one of: {reason}"
        ) from error
    roles = {f"{role}_token": getattr(tokenizer, f"{role}_token", None) for role in _USUAL_NAMES}
    return LoadedTokenizer(name, text, json.dumps(roles))


@lru_cache(maxsize=4)
def _parse(tokenizer_json: str, config_json: str) -> tuple[Tokenizer, Vocabulary]:
    """Return the tokenizer object and the vocabulary in the texts of a tokenizer's two files."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, _vocabulary(tokenizer, json.loads(config_json))


def _vocabulary(tokenizer: Tokenizer, config: Mapping[str, Any]) -> Vocabulary:
    """Return the vocabulary of a tokenizer; `config` is the content of `tokenizer_config.json`."""
    encoding = tokenizer.encode("x")
    content = [not special for special in encoding.special_tokens_mask]
    first, last = content.index(True), len(content) - content[::-1].index(True)
    added = tokenizer.get_added_tokens_decoder()
    sentinels = {
        match[1]: id_
        for id_, token in added.items()
        if (match := _SENTINEL.fullmatch(token.content))
    }
    size = max(tokenizer.get_vocab_size(with_added_tokens=True), max(added, default=-1) + 1)
    return Vocabulary(
        size=size,
        prefix=tuple(encoding.ids[:first]),
        suffix=tuple(encoding.ids[last:]),
        special_ids=tuple(sorted(added)),
        special_tokens=tuple(added[id_].content for id_ in sorted(added)),
        pad_id=_role(tokenizer, config, "pad"),
        mask_id=_role(tokenizer, config, "mask"),
        bos_id=_role(tokenizer, config, "bos"),
        eos_id=_role(tokenizer, config, "eos"),
        sentinel_ids=tuple(sentinels[number] for number in sorted(sentinels, key=int)),
        continues_word_hex=_continues_word_hex(tokenizer, size),
    )


def _role(tokenizer: Tokenizer, config: Mapping[str, Any], role: str) -> int | None:
    """Return the id of the special token with a role (mask, pad, bos, eos); None if there is
    none.
    """
    named = config.get(f"{role}_token")
    candidates = (
        (named["content"] if isinstance(named, dict) else named,) if named else _USUAL_NAMES[role]
    )
    ids = (tokenizer.token_to_id(token) for token in candidates)
    return next((id_ for id_ in ids if id_ is not None), None)


def _continues_word_hex(tokenizer: Tokenizer, size: int) -> str:
    """Return a bit for each id that is 1 if the token continues a word, packed and in hexadecimal
    digits.
    """
    bits = np.zeros(size, dtype=np.bool_)
    wordpiece = type(tokenizer.model).__name__ == "WordPiece"
    prefix = getattr(tokenizer.model, "continuing_subword_prefix", None) or "##"
    byte_level = not wordpiece and any(
        "Ġ" in token for token in tokenizer.get_vocab(with_added_tokens=False)
    )
    for token, id_ in tokenizer.get_vocab(with_added_tokens=False).items():
        bits[id_] = (
            token.startswith(prefix) if wordpiece else _continues(_as_text(token, byte_level))
        )
    return np.packbits(bits).tobytes().hex()


def _continues(text: str) -> bool:
    """Return True if a token with this text continues the word of the token before.

    Words are divided at white space, as in fairseq's whole-word masking; in a script without spaces
    each character is a word.
    """
    return bool(text) and not text[0].isspace() and text[0] != "▁" and not _stands_alone(text[0])


def _stands_alone(character: str) -> bool:
    """Return True if a character is of a script without spaces between words."""
    return unicodedata.name(character, "").startswith(
        ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
    )


def _as_text(token: str, byte_level: bool) -> str:
    """Return the text of a token; `byte_level` says that its characters stand for bytes."""
    if not byte_level:
        return token
    raw = bytes(_BYTES.get(character, 0x3F) for character in token)
    if 0xE3 <= raw[0] <= 0xE9 and len(raw) < 3:
        return "一"  # the first bytes of an ideograph
    return raw.decode("utf-8", errors="replace")


def _byte_alphabet() -> dict[str, int]:
    """Return the byte for which each character of GPT-2's byte-level alphabet stands."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + i): byte for i, byte in enumerate(others)
    }


_BYTES = _byte_alphabet()
