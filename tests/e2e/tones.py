"""A small stand-in for spoken words: each word is two tones, one after the other, by made-up speakers."""

import array
import math
import pathlib
import random
import wave

WORDS = ("yes", "no", "up", "down", "left", "right", "start", "stop", "open", "close")
_RATE = 8000


def _samples(word, pitch, rng):
    """Noise around the two tones of word number `word`; a speaker is a factor of their pitch."""
    tones = (300 + 170 * (word % 5), 1500 + 400 * (word // 5))
    length = rng.randrange(900, 1300)
    parts = []
    for hz in tones:
        parts += [math.sin(2 * math.pi * hz * pitch * i / _RATE) for i in range(length)]
    return array.array("h", (int(8000 * x + rng.gauss(0, 200)) for x in parts))


def write(folder, train_speakers=8, other_speakers=3, seed=1):
    """Writes train.csv, val.csv, test.csv and their recordings under `folder`, which is made."""
    folder = pathlib.Path(folder)
    rng = random.Random(seed)
    speaker = 0
    for split, speakers in (("train", train_speakers), ("val", other_speakers), ("test", other_speakers)):
        lines = ["file,word"]
        for _ in range(speakers):
            speaker += 1
            pitch = rng.uniform(0.96, 1.04)
            for number, word in enumerate(WORDS):
                for take in range(2):
                    file = f"dataset/{word}/{speaker:08}_NO_{take}.wav"
                    (folder / file).parent.mkdir(parents=True, exist_ok=True)
                    with wave.open(str(folder / file), "wb") as wav:
                        wav.setparams((1, 2, _RATE, 0, "NONE", "not compressed"))
                        wav.writeframes(_samples(number, pitch, rng).tobytes())
                    lines.append(f"{file},{word}")
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")
