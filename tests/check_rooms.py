#!/usr/bin/python3
"""Includes point downwards only: a room may use the rooms below it in this list, never one above.

Walks engine/, reads every #include "room/…", and fails with file:line for each that points up, names an unknown room,
or opens a library that has exactly one door (jansson, libyaml, SQLite, TLS)."""
import pathlib
import re
import sys

ROOMS = ["main", "cmd", "serve", "trial", "admin", "ingest", "dispatch", "worker", "host", "plugin", "lua", "source", "workflow", "store", "wire", "config", "schedule", "hooks", "openapi", "trust", "mcp", "base"]
DOORS = {  # header → the only folder or file that may include it
    r"jansson\.h": ["engine/base/json.h"],
    r"yaml\.h": ["engine/base/yaml.c"],
    r"sqlite3\.h": ["engine/store/"],
    r"zstd\.h": ["engine/store/"],
    r"openssl/ssl\.h": ["engine/ingest/", "engine/trust/"],
    r"curl/.*": ["engine/worker/", "engine/trust/", "engine/cmd/http_post.c", "engine/base/libcurl.c"],
    r"lua.*\.h": ["engine/lua/"],
}


def room_of(path: pathlib.Path) -> str:
    return path.parts[1] if len(path.parts) > 2 else "main"


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent
    faults, edges, files = [], 0, 0
    for path in sorted((root / "engine").rglob("*.[ch]")):
        relative = path.relative_to(root)
        files += 1
        room = room_of(relative)
        if room not in ROOMS:
            faults.append(f"{relative}: room '{room}' is not in the list of tests/check_rooms.py")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            own = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if own and "/" in own.group(1):
                edges += 1
                target = own.group(1).split("/")[0]
                if target not in ROOMS:
                    faults.append(f"{relative}:{number}: unknown room '{target}'")
                elif ROOMS.index(target) < ROOMS.index(room):
                    faults.append(f"{relative}:{number}: {room} may not include {own.group(1)}: it is above")
            foreign = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
            if foreign:
                for header, doors in DOORS.items():
                    if re.fullmatch(header, foreign.group(1)) and not any(str(relative).startswith(door) for door in doors):
                        faults.append(f"{relative}:{number}: <{foreign.group(1)}> is only for {', '.join(doors)}")
    print("\n".join(faults) if faults else f"{files} files, {edges} includes between rooms, all downwards")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
