"""The network of Stanza's tokenizer, run for many rows at once, for the ends of tokens and
sentences alone.

A row is a sequence of characters. Stanza (stanza/models/tokenization, 1.15.0) packs its batches,
which selects torch's slowest LSTM, looks up each character in Python, and makes an object of every
token. Here characters are encoded by table, padded rows of similar length go through the same
weights, and the result is two boolean arrays.

The result of a row does not depend on the rows beside it: padding shuts the LSTM's input gate, and
a row with a score within `_NEAR_TIE` of zero is scored again in double precision, since rounding
could decide it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from stanza.models.tokenization.data import (
    PER_CHAR_FEAT_FUNCS,
    POSITION_FEAT_FUNCS,
    TokenizationDataset,
)

Codes = npt.NDArray[np.uint32]  # code points
# (characters, 1 + features): unit ids and features, or for padding zeros
Encoded = npt.NDArray[np.int32]
Ends = npt.NDArray[np.bool_]  # (2, characters): whether a token, a sentence ends with a character

_NEAR_TIE = 1e-3  # in logits; rounding in single precision changes them by about 1e-6
_BATCH = 6_000  # characters in a batch, padding included: what stays in a core's cache
_SHUT = -1e4  # for a sigmoid: exactly 0, in double precision too
_CONTEXT = 200  # characters on either side of a row that its features may look at


class TokenizerModel:
    """Network of a loaded Stanza tokenizer, on a torch device, that finds the ends of tokens and
    sentences.

    `trainer` is Stanza's object that holds the network.
    """

    def __init__(self, trainer: Any, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self.skip_newline = bool(trainer.args.get("skip_newline"))
        features = trainer.args["feat_funcs"]
        known = {*PER_CHAR_FEAT_FUNCS, *POSITION_FEAT_FUNCS}
        by_table = not trainer.args["use_dictionary"] and known.issuperset(features)
        model = trainer.model
        plain = (
            model.args["hierarchical"]
            and model.args["rnn_layers"] == 1
            and model.args["conv_res"] is None
        )
        usual = by_table and plain and model.charmodel is None
        self.encode = (_TableEncoder if usual else _StanzaEncoder)(trainer).encode
        net: Any = (_PaddedNet if usual else _StanzaNet)(model).eval().requires_grad_(False)
        self._net = net.to(self._device)
        self._exact_net = copy.deepcopy(net).double().to(self._device)

    def ends(self, rows: Sequence[Encoded]) -> list[Ends]:
        """Return the ends of tokens and of sentences in each encoded row of at most 1,000
        characters: (2, characters) bool each.
        """
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        results: dict[int, Ends] = {}
        doubtful: list[int] = []
        for batch in _batches(order, rows):
            ends, is_doubtful = self._run(self._net, [rows[i] for i in batch])
            results.update(zip(batch, ends, strict=True))
            doubtful += [i for i, doubt in zip(batch, is_doubtful, strict=True) if doubt]
        for batch in _batches(doubtful, rows):
            results.update(
                zip(batch, self._run(self._exact_net, [rows[i] for i in batch])[0], strict=True)
            )
        return [results[i] for i in range(len(rows))]

    def _run(self, net: Any, rows: list[Encoded]) -> tuple[list[Ends], list[bool]]:
        """Return, for one batch of rows of descending length, the ends of each row, and whether a
        score is too near zero to trust.
        """
        lengths = [len(row) for row in rows]  # descending
        padded = np.zeros((len(rows), lengths[0], rows[0].shape[1]), dtype=np.int32)
        for row, encoded in zip(padded, rows, strict=True):
            row[: len(encoded)] = encoded
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            token, sentence = net(torch.from_numpy(padded).to(self._device), torch.tensor(lengths))
            ends = torch.stack([token > 0, (token > 0) & (sentence > 0)], 1)
            near = (token.abs() < _NEAR_TIE) | (token > -_NEAR_TIE) & (sentence.abs() < _NEAR_TIE)
            near &= (
                torch.arange(lengths[0], device=self._device)
                < torch.tensor(lengths, device=self._device)[:, None]
            )
            found = ends.cpu().numpy()
        return [row[:, :length] for row, length in zip(found, lengths, strict=True)], near.any(
            1
        ).tolist()


def _batches(order: Sequence[int], rows: Sequence[Encoded]) -> list[list[int]]:
    """Return the indices `order` (longest row first) in batches of about 6,000 characters of padded
    rows.
    """
    batches: list[list[int]] = []
    for index in order:
        if not batches or len(rows[batches[-1][0]]) * len(batches[-1]) >= _BATCH:
            batches.append([])
        batches[-1].append(index)
    return batches


class _TableEncoder:
    """Encoder of characters for models whose features depend on each character and its position
    alone.
    """

    def __init__(self, trainer: Any) -> None:
        names = trainer.args["feat_funcs"]
        self._functions = [
            PER_CHAR_FEAT_FUNCS[name] for name in names if name in PER_CHAR_FEAT_FUNCS
        ]
        # in Stanza's order
        self._positions = [name for name in ("end_of_para", "start_of_para") if name in names]
        self._vocabulary = trainer.vocab
        self._table = np.full((0x110000, 1 + len(self._functions)), -1, dtype=np.int32)

    def encode(self, paragraph: Codes, start: int, stop: int) -> Encoded:
        """Return the ids and features of characters `start` to `stop` - 1 of a paragraph:
        (characters, 1 + features) int32.
        """
        codes = paragraph[start:stop]
        known = self._table[codes]
        if (known[:, 0] < 0).any():
            for code in np.unique(codes[known[:, 0] < 0]).tolist():
                features = [function(chr(code)) for function in self._functions]
                self._table[code] = [self._vocabulary.unit2id(chr(code)), *features]
            known = self._table[codes]
        encoded = np.zeros((len(codes), known.shape[1] + len(self._positions)), dtype=np.int32)
        encoded[:, : known.shape[1]] = known
        for column, name in enumerate(self._positions, known.shape[1]):
            at = len(paragraph) - 1 if name == "end_of_para" else 0
            if start <= at < stop:
                encoded[at - start, column] = 1
        return encoded


class _StanzaEncoder:
    """Encoder of characters by Stanza's own functions, for models with word features; its last
    column is the code point.
    """

    def __init__(self, trainer: Any) -> None:
        names = trainer.args["feat_funcs"]
        self._dataset = TokenizationDataset(
            trainer.args,
            input_text="",
            vocab=trainer.vocab,
            evaluation=True,
            dictionary=trainer.dictionary,
        )
        first = 1 + sum(name in PER_CHAR_FEAT_FUNCS for name in names)
        self._position_columns = range(
            first, first + sum(name in POSITION_FEAT_FUNCS for name in names)
        )

    def encode(self, paragraph: Codes, start: int, stop: int) -> Encoded:
        """Return the ids, features and code points of characters `start` to `stop` - 1 of a
        paragraph: (characters, columns) int32.
        """
        before, after = max(0, start - _CONTEXT), min(stop + _CONTEXT, len(paragraph))
        units = [(chr(code), 0) for code in paragraph[before:after].tolist()]
        ((ids, _, features, _),) = self._dataset.para_to_sentences(units)
        encoded = np.column_stack([ids, features, paragraph[before:after]]).astype(np.int32)
        if before:
            encoded[0, self._position_columns] = 0
        if after < len(paragraph):
            encoded[-1, self._position_columns] = 0
        return encoded[start - before : stop - before]


class _PaddedNet(torch.nn.Module):
    """Stanza's usual network for padded rows: two bidirectional LSTMs, the second gated by the
    token scores of the first.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.embeddings, self.gate = model.embeddings, float(model.args["hier_invtemp"])
        self.rnn, self.rnn2 = _shut_by_padding(model.rnn), _shut_by_padding(model.rnn2)
        kinds = ("tok", "sent", "mwt") if model.args["use_mwt"] else ("tok", "sent")
        self.scores = _joined([getattr(model, f"{kind}_clf") for kind in kinds])
        self.scores2 = _joined([getattr(model, f"{kind}_clf2") for kind in kinds])

    def forward(
        self, rows: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the scores of token ends and of sentence ends, above 0 for an end: (rows,
        characters) each.

        `rows` (rows, characters, columns) are encoded characters, `lengths` (rows,) their numbers.
        """
        positions = torch.arange(rows.shape[1], device=rows.device)
        dtype = self.embeddings.weight.dtype
        padding = (positions >= lengths.to(rows.device)[:, None]).to(dtype)[..., None]
        units = self.embeddings(rows[..., 0].long())
        hidden = self.rnn(torch.cat([units, rows[..., 1:].to(dtype), padding], 2))[0]
        scores = self.scores(hidden)
        if self.gate > 0:
            hidden = hidden * torch.sigmoid(scores[..., :1] * self.gate)
        scores = scores + self.scores2(self.rnn2(torch.cat([hidden, padding], 2))[0])
        rivals = torch.nn.functional.softplus(-scores[..., 1:].abs()).sum(-1)
        return scores[..., 0] - rivals, scores[..., 1]


def _shut_by_padding(lstm: Any) -> torch.nn.LSTM:
    """Return a copy of an LSTM with one more input, which is 1 for padding and keeps the state zero
    until a row begins.
    """
    wider = torch.nn.LSTM(
        lstm.input_size + 1, lstm.hidden_size, batch_first=True, bidirectional=True
    )
    weights = dict(lstm.named_parameters())
    shut = torch.zeros(4 * lstm.hidden_size, 1)
    shut[: lstm.hidden_size] = _SHUT
    for name in ("weight_ih_l0", "weight_ih_l0_reverse"):
        weights[name] = torch.cat([weights[name].detach().cpu(), shut], 1)
    wider.load_state_dict(weights)
    return wider


def _joined(layers: list[Any]) -> torch.nn.Linear:
    layer = torch.nn.Linear(layers[0].in_features, len(layers), bias=layers[0].bias is not None)
    layer.weight.data = torch.cat([part.weight.detach().cpu() for part in layers])
    if layers[0].bias is not None:
        layer.bias.data = torch.cat([part.bias.detach().cpu() for part in layers])
    return layer


class _StanzaNet(torch.nn.Module):
    """Any other network of Stanza, run by Stanza's own code."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)

    def forward(
        self, rows: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the scores of token ends and of sentence ends, above 0 for an end: (rows,
        characters) each.

        `rows` (rows, characters, columns) are encoded characters, `lengths` (rows,) their numbers.
        """
        units = None
        if self.model.charmodel is not None:
            codes = [
                row[:length, -1].tolist()
                for row, length in zip(rows, lengths.tolist(), strict=True)
            ]
            units = [[chr(code) if code else "<PAD>" for code in row] for row in codes]
        features = rows[..., 1:-1].to(next(self.model.parameters()).dtype)
        classes = self.model(rows[..., 0].long(), features, lengths.tolist(), units)
        best_sentence = classes[..., 2::2].amax(-1)
        best_other = classes[..., 1::2].amax(-1)
        return torch.maximum(best_other, best_sentence) - classes[
            ..., 0
        ], best_sentence - best_other
