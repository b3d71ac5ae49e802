"""A small stand-in for stays in intensive care: who dies has a heart that beats faster and faster, and is seen to more often."""

import pathlib
import random

COUNT = 120  # a set
HEAD = "Time,Parameter,Value\n"


def record(rng, number, died):
    lines = [f"00:00,RecordID,{number}", f"00:00,Age,{rng.randint(20, 90)}", f"00:00,Gender,{rng.randint(0, 1)}",
             "00:00,Height,-1", f"00:00,ICUType,{rng.randint(1, 4)}"]
    rate = rng.gauss(80, 5)
    for hour in range(0, 48, 1 if died else 3):
        rate += rng.gauss(0.8 if died else 0, 1)
        lines += [f"{hour:02}:{rng.randint(0, 59):02},HR,{rate:.0f}", f"{hour:02}:59,Temp,{rng.gauss(37, 0.5):.1f}"]
    return HEAD + "\n".join(lines) + "\n"


def write(folder, seed=1):
    """Writes the sets a, b and c under `folder`, which is made; every fifth patient dies."""
    folder = pathlib.Path(folder)
    rng = random.Random(seed)
    for name in ("a", "b", "c"):
        (folder / f"set-{name}").mkdir(parents=True)
        outcomes = ["RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"]
        for number in range(1000, 1000 + COUNT):
            died = number % 5 == 0
            outcomes.append(f"{number},10,5,7,-1,{int(died)}")
            (folder / f"set-{name}" / f"{number}.txt").write_text(record(rng, number, died), encoding="utf-8")
        (folder / f"Outcomes-{name}.txt").write_text("\n".join(outcomes) + "\n", encoding="utf-8")
