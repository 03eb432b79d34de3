from __future__ import annotations

from importlib.util import find_spec

import pytest

from noisebeam.transforms.cleaning import language_detection
from noisebeam.transforms.cleaning.language_detection import check_detector, detect_language

needs_py3langid = pytest.mark.skipif(find_spec("py3langid") is None, reason="needs noisebeam[lang]")


@needs_py3langid
@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("It was the best of times, it was the worst of times.", "en"),
        ("Alle glücklichen Familien gleichen einander.", "de"),
        ("Longtemps, je me suis couché de bonne heure.", "fr"),
        ("今天天气很好，我们去公园散步吧。", "zh"),
        ("今日は天気がいいので、公園へ行きましょう。", "ja"),
        ("오늘은 날씨가 좋아서 공원에 갔습니다.", "ko"),
        ("Все счастливые семьи похожи друг на друга.", "ru"),
        ("كان الطقس جميلا اليوم فذهبنا إلى الحديقة.", "ar"),
        ("היום מזג האוויר יפה והלכנו לפארק.", "he"),
        ("วันนี้อากาศดีเราจึงไปเดินเล่นที่สวนสาธารณะ", "th"),
        ("आज मौसम अच्छा है इसलिए हम पार्क गए।", "hi"),
        ("Όλες οι ευτυχισμένες οικογένειες μοιάζουν.", "el"),
        ("WHAT IS WRITTEN IN CAPITALS IS ENGLISH ALL THE SAME", "en"),
        ("3.14159 26535 89793", "und"),
        ("😀", "und"),
        ("ok", "und"),
    ],
)
def test_the_language_of_a_text(text: str, lang: str) -> None:
    assert detect_language(text) == lang


@needs_py3langid
def test_the_beginning_decides() -> None:
    english, chinese = "It rains again today, and we stay at home. ", "今天下雨，我们不出门。"
    assert detect_language(english * 100 + chinese * 10_000) == "en"
    assert detect_language(chinese * 500 + english * 10_000) == "zh"


@needs_py3langid
def test_plain_chinese_is_not_taken_for_wu() -> None:
    text = "本文介绍了如何将数据同步到存储服务，以及如何查看同步任务的状态。"
    assert detect_language(text) == "zh"


@needs_py3langid
def test_the_package_still_sums_where_double_precision_is_put_in() -> None:
    identifier = language_detection._load_identifier()
    assert identifier._raw_score(b"It rains again today.").dtype == "float64"


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_detection, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError,
        match=r"^lang: 'auto' needs the package py3langid; pip install 'noisebeam\[lang\]'$",
    ):
        check_detector()
