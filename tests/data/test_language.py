"""Languages are told from a sentence, and not guessed from less."""

import pytest

from sluice.data.inspection.language import languages

SENTENCES = {
    "en": "The gate lets the water through when the lock is full.",
    "de": "Das Tor lässt das Wasser durch, wenn die Schleuse voll ist.",
    "fr": "La porte laisse passer l'eau quand l'écluse est pleine.",
    "es": "La puerta deja pasar el agua cuando la esclusa está llena.",
    "ru": "Ворота пропускают воду, когда шлюз полон.",
    "zh": "水闸满了以后闸门就会放水通过。",
    "ja": "水門がいっぱいになると、ゲートが水を通します。",
}


def test_a_sentence_is_enough() -> None:
    assert languages(list(SENTENCES.values())) == list(SENTENCES)


@pytest.mark.parametrize("text", ["", "  ", "ok", "Ja", "12345 678", "...", "http://x.y/z", "👍👍"])
def test_what_cannot_be_told_is_und(text: str) -> None:
    assert languages([text]) == ["und"]


def test_each_text_gets_one_answer_in_order() -> None:
    assert languages([SENTENCES["de"], "?", SENTENCES["en"]]) == ["de", "und", "en"]
    assert languages([]) == []


def test_a_very_long_text_costs_no_more_than_its_beginning() -> None:
    assert languages([SENTENCES["fr"] * 50_000]) == ["fr"]
