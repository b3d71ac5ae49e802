"""What the experiments of this folder share: the program, and networks that are made once."""

import json
import pathlib
import statistics
import subprocess
import sys


class Lab:
    """espalier: the program; work: folder of networks and of what was printed as they were made, kept."""

    def __init__(self, espalier, work):
        self.program = espalier
        self.work = pathlib.Path(work)
        self.work.mkdir(parents=True, exist_ok=True)

    def espalier(self, *arguments, may_refuse=False):
        """The JSON that the program prints, or {"refused": why}. Ends the script where it must not refuse."""
        command = [self.program, *map(str, arguments), "--json", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 1 and may_refuse:
            return {"refused": done.stderr.strip()}
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def path(self, stem):
        return self.work / f"{stem}.onnx"

    def make(self, stem, *arguments, may_refuse=False):
        """The JSON of the command that writes <stem>.onnx, which is not done again."""
        result = self.work / f"{stem}.json"
        if not result.exists():
            made = self.espalier(*arguments, "-o", self.path(stem), may_refuse=may_refuse)
            if "refused" in made:  # asked again next time: data may be there by then
                return made
            result.write_text(json.dumps(made))
        return json.loads(result.read_text())


def mean_and_spread(values, digits):
    """e.g. "98.2 +- 0.1": the mean and, of more than one, the standard deviation."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.mean(values):.{digits}f} +- {statistics.stdev(values):.{digits}f}"
