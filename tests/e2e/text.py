"""A small stand-in for a text: sentences of a grammar whose perplexity is known.

Each of 8 nouns does one of 2 things of its own, each of which is done to one of 2 things: 3 + 1 + 1 bits
in the 6 words of a sentence and its end. So no network that has not seen what it is asked can be in
doubt among fewer words than PERPLEXITY, over many sentences.
"""

import pathlib
import random

NOUNS = ("cat", "dog", "bird", "fox", "cow", "hen", "owl", "bee")
PERPLEXITY = 2 ** (5 / 7)
SENTENCES = {"train": 1600, "valid": 300, "test": 300}


def sentence(rng):
    """One sentence, without its end."""
    noun = rng.randrange(len(NOUNS))
    verb = 2 * noun + rng.randrange(2)
    thing = (verb + rng.randrange(2)) % 8
    return f"the {NOUNS[noun]} verb{verb} a thing{thing} ."


def write(folder, seed=1):
    """Writes train.txt, valid.txt and test.txt under `folder`, which is made."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    for split, count in SENTENCES.items():
        (folder / f"{split}.txt").write_text("".join(sentence(rng) + "\n" for _ in range(count)), encoding="utf-8")
