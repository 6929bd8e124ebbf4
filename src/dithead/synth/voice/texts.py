"""Texts that synthetic people say: everyday sentences in sixteen languages, made-up words, and sounds without words."""

from __future__ import annotations

import numpy as np

# espeak-ng's language code -> sentences, written for this project (CC0).
SENTENCES: dict[str, tuple[str, ...]] = {
    "en": (
        "Maybe people film those five views from above.",
        "Put the blue box by the window before supper.",
        "We walked home through the park because the bus was late.",
        "Please remember to bring both of the maps.",
        "What a wonderful morning for a very long swim.",
        "The quick answer surprised nobody in the room.",
        "She shows her brother how the big machine works.",
        "I thought about it, but I never said a word.",
        "Twelve boats moved slowly past the old bridge.",
        "Could you open the door a little more?",
        "Fresh bread, butter and plum jam, if you have them.",
        "My favourite month is probably April or May.",
        "They would rather wait for the weather to improve.",
        "Open your mouth and say ah, then hum.",
        "Lay green by F two now.",
        "Set white with B nine again.",
        "Bin red at M four please.",
        "Place blue in P seven soon.",
        "One, two, three, four, five, six, seven, eight, nine.",
        "A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P.",
    ),
    "en-us": (
        "Honestly, I don't know what happened after lunch.",
        "Our neighbors moved the piano by themselves.",
        "Give me about half an hour, okay?",
        "The project began with a very simple idea.",
        "Nobody wanted to be the first to leave.",
        "You should have seen how happy the boy was.",
    ),
    "es": (
        "Buenos días, me llamo Paula y vivo cerca del mar.",
        "Mañana vamos a comprar pan, fruta y un poco de vino.",
        "El perro blanco duerme bajo la mesa.",
        "¿Puedes abrir la ventana, por favor?",
        "Todo el mundo hablaba al mismo tiempo.",
        "Me gusta mucho la música de tu pueblo.",
    ),
    "fr": (
        "Bonjour, je voudrais un peu de pain et du beurre.",
        "Vous pouvez fermer la porte, s'il vous plaît.",
        "Nous avons marché longtemps au bord de la mer.",
        "Le vieux chat dort toujours sous le fauteuil bleu.",
        "Il faut que tu viennes nous voir bientôt.",
        "Une bonne soupe chaude, voilà mon bonheur.",
    ),
    "de": (
        "Guten Morgen, wir möchten bitte zwei Fahrkarten.",
        "Am Abend spielen die Kinder vor dem Haus.",
        "Über den Bergen schien die Sonne besonders hell.",
        "Vielleicht bleiben wir doch noch eine Woche.",
        "Mein Bruder baut ein Boot aus Pappe.",
        "Was möchtest du morgen früh zum Frühstück?",
    ),
    "pt": (
        "Bom dia, posso ajudar com alguma coisa?",
        "A minha avó fazia um bolo maravilhoso.",
        "Amanhã vamos passear na praia pela manhã.",
        "O menino pequeno abriu a porta devagar.",
    ),
    "it": (
        "Buongiorno, vorrei un bicchiere di acqua fresca.",
        "Mia sorella abita vicino alla piazza più bella.",
        "Domani mattina prendiamo il primo treno.",
        "Che bel tempo, possiamo mangiare fuori.",
    ),
    "hi": (
        "नमस्ते, आप कैसे हैं?",
        "मुझे सुबह की चाय बहुत पसंद है।",
        "हम कल बाज़ार जाएँगे और फल खरीदेंगे।",
        "यह किताब मेरे भाई की है।",
    ),
    "ar": (
        "مرحبا، كيف حالك اليوم؟",
        "أريد كوبا من الماء من فضلك.",
        "ذهب الولد إلى المدرسة صباحا.",
        "هذا البيت جميل وكبير.",
    ),
    "ru": (
        "Доброе утро, как у вас дела?",
        "Мама купила хлеб, молоко и яблоки.",
        "Мы долго гуляли по берегу реки.",
        "Большое спасибо за вашу помощь.",
    ),
    "tr": (
        "Merhaba, bugün hava çok güzel.",
        "Bu akşam birlikte yemek yapalım mı?",
        "Küçük çocuk bahçede top oynuyor.",
    ),
    "pl": (
        "Dzień dobry, proszę dwie bułki i masło.",
        "Moja babcia mieszka blisko morza.",
        "Wczoraj padało przez cały dzień.",
    ),
    "nl": (
        "Goedemorgen, mag ik een kopje koffie?",
        "Wij wonen al jaren boven de bakker.",
        "Morgen varen we met de boot.",
    ),
    "id": (
        "Selamat pagi, apa kabar semuanya?",
        "Saya mau membeli buah mangga dan pepaya.",
        "Besok kami pergi ke pantai bersama.",
    ),
    "sw": (
        "Habari za asubuhi, mama na baba.",
        "Tunapenda kusoma vitabu pamoja.",
        "Maji baridi tafadhali.",
    ),
    "fi": (
        "Hyvää huomenta, mitä kuuluu?",
        "Me asumme pienen järven rannalla.",
        "Huomenna sataa ehkä lunta.",
    ),
}

LANGUAGES = tuple(SENTENCES)
"""espeak-ng's codes of the languages in which there are sentences."""

_WORDS_PER_SECOND = 2.4  # a little more than people say, so that a text is never too short

# Humming, laughter and hesitation in espeak-ng's phoneme signs, the same in every language.
_SOUNDS = ("[[m:m]]", "[[m:h'm]]", "[[a:]]", "[[o:]]", "[[aha]]", "[[ha'hahaha]]", "[[hehehe]]", "[[m:]]", "[[o'o:]]")

# Parts of made-up syllables, in English spelling.
_ONSETS = (*"pbmfvwtdnlrskg", "sh", "th", "ch", "bl", "fr", "sp", "pl", "")
_NUCLEI = ("a", "ee", "oo", "o", "i", "e", "ow", "ay", "oy", "u", "ar", "aw")
_CODAS = ("", "", "m", "p", "b", "f", "n", "t", "s", "l", "v", "sh", "k")


def sample_text(rng: np.random.Generator, language: str, seconds: float) -> str:
    """Draw a text that is long enough for a clip.

    Args:
        rng: Draws the sentences.
        language: One of `LANGUAGES`; in English about a third of the texts are made-up words.
        seconds: How long the text should last at least.

    Returns:
        Sentences, some of them perhaps twice.
    """
    words_needed = int(seconds * _WORDS_PER_SECOND) + 6
    if language.startswith("en") and rng.random() < 0.35:
        return made_up_words(rng, words_needed)
    pool = list(SENTENCES[language])
    chosen: list[str] = []
    while sum(len(s.split()) for s in chosen) < words_needed:
        chosen.append(str(rng.choice(pool)))
    return " ".join(chosen)


def made_up_words(rng: np.random.Generator, count: int) -> str:
    """Draw ``count`` pronounceable words without meaning, rich in labials, with commas and full stops between them."""
    words = []
    for _ in range(count):
        syllables = int(rng.integers(1, 4))
        word = "".join(str(rng.choice(_ONSETS)) + str(rng.choice(_NUCLEI)) for _ in range(syllables))
        pause = "," if rng.random() < 0.12 else "." if rng.random() < 0.08 else ""
        words.append(word + str(rng.choice(_CODAS)) + pause)
    return " ".join(words)


def wordless_sounds(rng: np.random.Generator, seconds: float) -> str:
    """Draw humming, laughter and the like, in espeak-ng's phoneme signs, for at least ``seconds``."""
    return " ".join(f"{rng.choice(_SOUNDS)}." for _ in range(int(seconds * 2) + 4))
