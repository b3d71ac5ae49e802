#!/usr/bin/env python3
"""Holds the tree against docs/architecture.md and the text rules of docs/conventions.md.

Checks every tracked file (every file where there is no git) and prints one line a fault:
    src/kernels/x.cc:3: layer: kernels may not include 'prune/plan.h' (base, model, ... allowed)
Exit code 1 if there is one. The table of rooms in docs/architecture.md is the only place that says
who may include whom; a third-party name in it is one of the keys of THIRD_PARTY.

usage: tools/check_layers.py [--root DIR]
"""

import argparse
import os
import re
import subprocess
import sys

TABLE = "docs/architecture.md"
PRODUCT_TOP = 3  # layers up to this one are the runtime product

# Name in the table -> what its includes look like.
THIRD_PARTY = {
    "Highway": r"hwy/",
    "ONNX": r"(onnx|google/protobuf)/",
    "libtorch": r"(torch|ATen|c10|caffe2)/",
    "yaml-cpp": r"yaml-cpp/",
    "nlohmann-json": r"nlohmann/",
    "CLI11": r"CLI/",
    "dlopen": r"dlfcn\.h$",
    "oneDNN": r"oneapi/dnnl/",
    "Eigen": r"Eigen/",
    "kissfft": r"kiss_fft",
    "GoogleTest": r"(gtest|gmock)/",
}
# Allowed everywhere: the C++ library (no dot, no slash), C's and POSIX's headers.
SYSTEM = re.compile(
    r"[a-z_0-9]+$|(assert|errno|fcntl|float|inttypes|limits|math|sched|signal|stdbool|stddef|stdint"
    r"|stdio|stdlib|string|time|unistd|\w*intrin)\.h$|sys/\w+\.h$")

CODE = (".h", ".hpp", ".cc", ".c", ".inl", ".inc")
TEXT = CODE + (".py", ".md", ".txt", ".cmake", ".yaml", ".yml", ".json", ".mjs", ".js", ".css", ".html", "")
IGNORED = ("build", "data", "runs", "node_modules", ".cache")  # as in .gitignore
MAX_LINES = 600
LONG_FILES = {}  # path -> why it may be longer than MAX_LINES

# What code below cli/ does not do (comments and texts are not looked at; tests are free to).
BELOW_CLI = [
    (r"#\s*include\s*<(iostream|print)>", "prints"),
    (r"\b(printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror)\s*\(", "prints"),
    (r"\bstd::(cout|cerr|clog)\b", "prints"),
    (r"(?<![\w.>])(?:std::)?(abort|exit|_Exit|quick_exit|terminate)\s*\(", "ends the process"),
    (r"\b(secure_)?getenv\s*\(", "reads the environment"),
]
PRODUCT_ONLY = [(r"\bthrow\b", "throws")]

# Split, so that this file does not name them itself.
MACHINE_TEXT = re.compile(
    "regis" r"try\.[a-z]|npm" r"js\.|deb\.deb" r"ian|/wo" r"rk/(main|shared)|/ro" r"ot/|/ho" r"me/[a-z]")


def fault(faults, path, line, rule, text):
    faults.append((path, line, rule, text))


def tracked_files(root):
    if os.path.exists(os.path.join(root, ".git")):  # a folder, or in a worktree a file
        out = subprocess.run(["git", "-C", root, "ls-files", "-z"], check=True, stdout=subprocess.PIPE)
        files = out.stdout.decode().split("\0")
        return sorted(f for f in files if f and os.path.isfile(os.path.join(root, f)))
    found = []
    for folder, folders, names in os.walk(root):
        if folder == root:
            folders[:] = [f for f in folders if f not in IGNORED]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(found)


def names(cell):
    return [] if cell == "-" else [part.strip() for part in cell.split(",")]


class Room:
    def __init__(self, line, cells):
        self.line, self.name = line, cells[0]
        self.layer = int(cells[1])
        self.rooms, self.third_party = names(cells[2]), names(cells[3])


def read_table(text, faults):
    """The rooms by name, from the table after the marker."""
    rooms, inside = {}, False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("<!-- rooms:"):
            inside = True
        elif inside and line.startswith("|"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) < 4 or not re.fullmatch(r"\d+", cells[1]):
                continue  # the head of the table
            rooms[cells[0]] = Room(number, cells)
        elif inside and rooms:
            break
    if not rooms:
        fault(faults, TABLE, 1, "table", "no table of rooms after '<!-- rooms:' found")
    for room in rooms.values():
        for name in room.rooms:
            if name not in rooms:
                fault(faults, TABLE, room.line, "table", f"{room.name} may include '{name}': no such room")
            elif rooms[name].layer > room.layer or room.name in rooms[name].rooms:
                fault(faults, TABLE, room.line, "table",
                      f"{room.name} (layer {room.layer}) may include '{name}' (layer "
                      f"{rooms[name].layer}): a lower layer expected, or a peer that does not include it")
        for name in room.third_party:
            if name not in THIRD_PARTY:
                fault(faults, TABLE, room.line, "table",
                      f"third-party '{name}': one of {', '.join(THIRD_PARTY)} expected")
    return rooms


def check_cmake(text, rooms, faults):
    """DEPS of each espalier_room() call = its row of the table."""
    for match in re.finditer(r"espalier_room\(\s*(\w+)([^)]*)\)", text):
        line = text.count("\n", 0, match.start()) + 1
        name, words = match.group(1), match.group(2).split()
        if name not in rooms:
            fault(faults, "CMakeLists.txt", line, "cmake", f"room '{name}' is not in the table of {TABLE}")
            continue
        deps, take = set(), False
        for word in words:
            if word.isupper():
                take = word == "DEPS"
            elif take:
                deps.add(word)
        if deps != set(rooms[name].rooms):
            fault(faults, "CMakeLists.txt", line, "cmake",
                  f"{name} has DEPS {' '.join(sorted(deps)) or '(none)'}; "
                  f"{' '.join(sorted(rooms[name].rooms)) or '(none)'} expected, as in {TABLE}")


TOKEN = re.compile(r'''//[^\n]*|/\*.*?\*/|R"(?P<d>[^(\s]*)\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+\'''',
                   re.S)


def blank(text, keep_strings):
    """The code without comments (and without texts), lines kept."""
    def replace(match):
        token = match.group(0)
        if not token.startswith("/") and keep_strings:
            return token
        return re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(replace, text)


def room_of(path, rooms):
    parts = path.split("/")
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    return parts[0] if parts[0] in rooms else None


def is_test(path):
    return path.startswith("src/testing/") or re.search(r"_test(_\w+)?\.(cc|h)$", path) is not None


def check_includes(path, code, room, rooms, faults):
    for number, line in enumerate(code.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        target = match.group(2)
        party = next((name for name, form in THIRD_PARTY.items() if re.match(form, target)), None)
        if party == "GoogleTest" and is_test(path):
            continue
        if party:
            if party not in room.third_party:
                fault(faults, path, number, "third-party",
                      f"{room.name} may not include <{target}> ({party}; "
                      f"{', '.join(room.third_party) or 'nothing'} allowed)")
        elif match.group(1) == "<":
            if not SYSTEM.match(target):
                fault(faults, path, number, "third-party",
                      f"<{target}>: a system header or one of {', '.join(THIRD_PARTY)} expected")
        elif "/" not in target:
            if not path.startswith("src/"):
                continue  # a neighbour, e.g. in cli/
            fault(faults, path, number, "layer", f"'{target}': a path from src/ expected, '{room.name}/{target}'")
        else:
            other = target.split("/")[0]
            if other == room.name or other == "espalier" or (other == "testing" and is_test(path)):
                continue
            if other not in room.rooms:
                fault(faults, path, number, "layer",
                      f"{room.name} may not include '{target}' ({', '.join(room.rooms) or 'nothing'} allowed)")


def check_words(path, text, room, faults):
    rules = BELOW_CLI + (PRODUCT_ONLY if room.layer <= PRODUCT_TOP else [])
    bare = blank(text, keep_strings=False)
    for form, what in rules:
        for match in re.finditer(form, bare):
            line = bare.count("\n", 0, match.start()) + 1
            fault(faults, path, line, "words", f"'{match.group(0).strip()}' {what}; {room.name} must not")


def check_guard(path, text, faults):
    inside = re.sub(r"^(src|include/espalier)/", "", path)
    guard = "ESPALIER_" + re.sub(r"[^A-Z0-9]", "_", inside.upper()) + "_"
    # Highway's -inl.h files are read once per target: #if defined(GUARD) == defined(HWY_TARGET_TOGGLE).
    if not re.search(rf"^#\s*(ifndef\s+{guard}|if\s+defined\({guard}\))\s*(==.*)?$", text, re.M):
        fault(faults, path, 1, "guard", f"include guard {guard} expected")


def check_types(path, text, seen, faults):
    """Two types of one name in one namespace: the linker takes either's functions for both."""
    bare = blank(text, keep_strings=False)
    for match in re.finditer(r"^(?:struct|class|enum(?: class)?) (\w+)[^;{()]*\{", bare, re.M):
        first = seen.setdefault(match.group(1), path)
        if first != path:
            fault(faults, path, bare.count("\n", 0, match.start()) + 1, "type",
                  f"'{match.group(1)}' is the name of a type in {first} too")


def check_text(path, data, faults):
    for number, line in enumerate(data.split(b"\n"), 1):
        if any(byte > 126 or (byte < 32 and byte != 9) for byte in line):
            fault(faults, path, number, "ascii", "a byte that is not printable ASCII")
        match = MACHINE_TEXT.search(line.decode("ascii", "replace"))
        if match:
            fault(faults, path, number, "machine",
                  f"'{match.group(0)}': no registry host and no path of one machine expected")


def check_lock(path, text, faults):
    """An npm lock file says what is installed, not from where: the user's registry may be another."""
    for number, line in enumerate(text.splitlines(), 1):
        if '"resolved":' in line:
            fault(faults, path, number, "machine", "a download address; 'npm install "
                  "--omit-lockfile-registry-resolved' leaves it out")


def check_links(path, text, files, faults):
    """Files and folders that a page names exist: links, and `src/...` in backticks."""
    known = set(files) | {folder for f in files for folder in folders(f)}
    for number, line in enumerate(text.splitlines(), 1):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", line):
            if os.path.normpath(os.path.join(os.path.dirname(path), target)) not in known:
                fault(faults, path, number, "link", f"'{target}' does not exist")
        form = r"`\.?/?((?:src|cli|cmake|docs|include|recipes|tests|tools)/[\w./-]+)`"
        for target in re.findall(form, line):
            if target.rstrip("/") not in known:
                fault(faults, path, number, "link", f"'{target}' does not exist")


def folders(path):
    while "/" in path:
        path = path.rsplit("/", 1)[0]
        yield path


def check_tree(root):
    faults = []
    files = tracked_files(root)

    def read(path):
        with open(os.path.join(root, path), "rb") as file:
            return file.read()

    if TABLE not in files:
        fault(faults, TABLE, 1, "table", "the file is missing")
        return files, faults
    rooms = read_table(read(TABLE).decode("utf-8", "replace"), faults)
    if "CMakeLists.txt" in files:
        check_cmake(read("CMakeLists.txt").decode("utf-8", "replace"), rooms, faults)

    types = {}  # name of a type in a header of src/ -> that header
    for path in files:
        extension = os.path.splitext(path)[1]
        if extension not in TEXT:
            continue
        data = read(path)
        if b"\0" in data:
            continue  # binary
        check_text(path, data, faults)
        text = data.decode("utf-8", "replace")
        if path.endswith("package-lock.json"):
            check_lock(path, text, faults)
        if extension == ".md":
            check_links(path, text, files, faults)
        if extension not in CODE:
            continue
        lines = text.count("\n")
        if lines > MAX_LINES and path not in LONG_FILES:
            fault(faults, path, MAX_LINES, "length",
                  f"{lines} lines; at most {MAX_LINES} expected (or a reason in LONG_FILES)")
        if extension in (".h", ".hpp"):
            check_guard(path, text, faults)
            if path.startswith("src/"):
                check_types(path, text, types, faults)
        name = room_of(path, rooms)
        if name is None:
            continue
        if name not in rooms:
            fault(faults, path, 1, "table", f"room '{name}' is not in the table of {TABLE}")
            continue
        room = rooms[name]
        check_includes(path, blank(text, keep_strings=True), room, rooms, faults)
        if name != "cli" and not is_test(path):
            check_words(path, text, room, faults)
    for path in LONG_FILES:
        if path not in files:
            fault(faults, path, 1, "length", "listed in LONG_FILES and not there")
    return files, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."),
                        help="the tree to check (default: this checkout)")
    files, faults = check_tree(os.path.normpath(parser.parse_args().root))
    for path, line, rule, text in sorted(faults):
        print(f"{path}:{line}: {rule}: {text}")
    print(f"check_layers: {len(files)} files, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
