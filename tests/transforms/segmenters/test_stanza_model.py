from __future__ import annotations

import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noisebeam.transforms.data.spans import spans_between

pytestmark = pytest.mark.skipif(find_spec("stanza") is None, reason="needs noisebeam[stanza]")

SETTINGS = {
    "lang": "xx",
    "shorthand": "xx_test",
    "emb_dim": 8,
    "hidden_dim": 16,
    "dropout": 0.3,
    "feat_dropout": 0.1,
    "tok_noise": 0.1,
    "hierarchical": True,
    "hier_invtemp": 0.5,
    "conv_res": None,
    "rnn_layers": 1,
    "use_mwt": True,
    "use_dictionary": False,
    "num_dict_feat": 0,
    "skip_newline": False,
    "feat_funcs": ["space_before", "capitalized", "end_of_para", "start_of_para"],
    "feat_dim": 4,
    "batch_size": 32,
    "lr0": 0.1,
    "weight_decay": 0,
}
MODELS = {
    "the usual": {},
    "no multi-word tokens": {"use_mwt": False},
    "no gate": {"hier_invtemp": 0},
    "other features": {"feat_funcs": ["numeric", "start_of_para"], "feat_dim": 2},
    "words of a dictionary": {
        "use_dictionary": True,
        "num_dict_feat": 3,
        "feat_dim": 10,
        "skip_newline": True,
    },
    "structure": {
        "feat_funcs": ["capitalized", "end_of_para", "start_of_para", "currency"],
        "feat_dim": 4,
    },
    "convolutions": {"conv_res": "1,9"},
    "one layer": {"hierarchical": False},
    "two layers": {"rnn_layers": 2, "use_mwt": False},
}


def untrained(changes: dict[str, Any]) -> Any:
    """A Stanza tokenizer with random weights, spread so that it predicts all classes."""
    import torch
    from stanza.models.tokenization.trainer import Trainer
    from stanza.models.tokenization.utils import create_dictionary
    from stanza.models.tokenization.vocab import Vocab

    vocabulary = Vocab([[("a", 0), ("b", 0), ("c", 0), (".", 0), (" ", 0), ("B", 0)]], lang="xx")
    settings = {**SETTINGS, **changes, "vocab_size": len(vocabulary)}
    lexicon = {"ab", "abc", "ca"}
    torch.manual_seed(3)
    trainer = Trainer(settings, vocabulary, lexicon, create_dictionary(lexicon), device="cpu")
    for parameter in trainer.model.parameters():
        parameter.data.normal_(0, 0.7)
    trainer.model.embeddings.weight.data[0] = 0  # padding, as after training
    return trainer


def texts() -> list[str]:
    draw = random.Random(8)
    paragraph = [
        "".join(draw.choices("ab cB.  \nx5$é", k=size)) for size in (1, 40, 300, 990, 2400)
    ]
    return ["\n\n".join(paragraph), paragraph[4] * 2, "abc."]


@pytest.mark.parametrize("name", MODELS)
def test_every_architecture_gives_the_sentences_of_stanza(name: str) -> None:
    import torch
    from stanza.models.common.doc import Document
    from stanza.models.tokenization.data import TokenizationDataset
    from stanza.models.tokenization.utils import output_predictions

    from noisebeam.transforms.segmenters.stanza_model import TokenizerModel
    from noisebeam.transforms.segmenters.stanza_segmenter import StanzaSegmenter

    trainer = untrained(MODELS[name])
    segmenter = StanzaSegmenter(TokenizerModel(trainer))
    for text in texts():
        data = TokenizationDataset(
            trainer.args,
            input_text=text,
            vocab=trainer.vocab,
            evaluation=True,
            dictionary=trainer.dictionary,
        )
        with torch.no_grad():
            sentences = output_predictions(
                None, trainer, data, trainer.vocab, None, orig_text=text
            )[3]
        ends = [sentence.tokens[-1].end_char for sentence in Document(sentences, text).sentences]
        assert segmenter.segment([text], [None])[0].tolist() == spans_between(text, ends).tolist()


@pytest.fixture(scope="module")
def english(shared: Path) -> Any:
    from noisebeam.transforms.segmenters.stanza_files import load_stanza

    return load_stanza("en", str(shared / "stanza_resources"))


def rows_of(model: Any) -> list[Any]:
    draw = np.random.default_rng(2)
    paragraphs = [
        draw.choice([32, 46, 65, *range(97, 123)], n).astype(np.uint32)
        for n in (3, 40, 41, 200, 1, 997, 80)
    ]
    return [model.encode(codes, 0, len(codes)) for codes in paragraphs]


def test_rows_do_not_depend_on_each_other(english: Any) -> None:
    rows = rows_of(english)
    together = english.ends(rows)
    assert [len(row) for row in rows] == [ends.shape[1] for ends in together]
    for row, ends in zip(rows, together, strict=True):
        assert english.ends([row])[0].tolist() == ends.tolist()


def test_padding_changes_no_score_by_more_than_rounding(english: Any) -> None:
    import torch

    rows = rows_of(english)
    for net, dtype, within in (
        (english._net, torch.float32, 1e-4),
        (english._exact_net, torch.float64, 1e-12),
    ):
        assert next(net.parameters()).dtype == dtype
        for row in rows:
            padded = torch.from_numpy(np.pad(row, ((0, 60), (0, 0))))[None]
            longer = [score[:, : len(row)] for score in net(padded, torch.tensor([len(row)]))]
            alone = net(torch.from_numpy(row)[None], torch.tensor([len(row)]))
            for left, right in zip(longer, alone, strict=True):
                torch.testing.assert_close(left, right, atol=within, rtol=0)


def test_doubtful_rows_are_decided_in_double_precision(
    english: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from noisebeam.transforms.segmenters import stanza_model

    rows = rows_of(english)
    expected = [ends.tolist() for ends in english.ends(rows)]
    monkeypatch.setattr(stanza_model, "_NEAR_TIE", float("inf"))
    monkeypatch.setattr(
        english, "_net", lambda rows, lengths: [english._exact_net(rows, lengths)[0] * 0] * 2
    )
    assert [ends.tolist() for ends in english.ends(rows)] == expected
    monkeypatch.setattr(stanza_model, "_NEAR_TIE", 0.0)
    assert not any(ends.any() for ends in english.ends(rows))
