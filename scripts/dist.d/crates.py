"""The crates that are compiled into lowtide for a target, from Cargo.lock.

crates.py sbom TARGET SECONDS   CycloneDX 1.6 on stdout; SECONDS is the time that it bears
crates.py licences TARGET       their licences and notices, each text once

Nothing of it comes from the network or a clock: the same lock file makes the same bytes.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse
import uuid

# What says under which terms a crate may be handed on.
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|copyright|unlicense)", re.IGNORECASE)


def metadata(target):
    """What cargo knows. It does not ask the network for what a build has just used."""
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--format-version=1", "--locked", "--filter-platform", target]
    offline = subprocess.run([*command, "--offline"], capture_output=True, check=False)
    if offline.returncode == 0:
        return json.loads(offline.stdout)
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def graph(known):
    """Packages by id, what each one depends on, and the ids of those that are compiled in.

    The workspace's own crates are one program: what one of them needs, the program needs. A macro runs in the compiler, and so does what only a build script needs: they are listed, but are not in the binary.
    """
    packages = {package["id"]: package for package in known["packages"]}
    nodes = {node["id"]: node for node in known["resolve"]["nodes"]}
    is_macro = {name: any("proc-macro" in target["kind"] for target in it["targets"]) for name, it in packages.items()}
    program = known["resolve"]["root"]
    ours = set(known["workspace_members"])
    edges = {}
    inside, seen = set(), set()
    todo = [(program, True)]
    while todo:
        name, is_inside = todo.pop()
        if name in inside or (name in seen and not is_inside):
            continue
        seen.add(name)
        if is_inside:
            inside.add(name)
        needed = edges.setdefault(program if name in ours else name, set())
        for dependency in nodes[name]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]} - {"dev"}
            if kinds:
                other = dependency["pkg"]
                if other not in ours:
                    needed.add(other)
                todo.append((other, is_inside and None in kinds and not is_macro[other]))
    return packages, edges, inside - ours


def purl(package):
    """As the package-url specification has it for cargo."""
    quoted = urllib.parse.quote(package["version"], safe="")
    return f"pkg:cargo/{package['name']}@{quoted}"


def expression(package):
    """SPDX; old crates part alternatives with a slash."""
    return re.sub(r"\s*/\s*", " OR ", package["license"] or "NOASSERTION")


def component(package, hashes, is_inside):
    """One entry of the list."""
    entry = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "scope": "required" if is_inside else "excluded",
    }
    checksum = hashes.get((package["name"], package["version"]))
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["license"]:
        entry["licenses"] = [{"expression": expression(package)}]
    entry["purl"] = purl(package)
    if package["repository"]:
        entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return entry


def checksums():
    """Of each crate's file, as Cargo.lock has them."""
    text = pathlib.Path("Cargo.lock").read_text(encoding="utf-8")
    found = re.findall(r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"', text)
    return {(name, version): checksum for name, version, checksum in found}


def sbom(target, seconds):
    """The bill of materials."""
    known = metadata(target)
    packages, edges, inside = graph(known)
    root = packages[known["resolve"]["root"]]
    hashes = checksums()
    named = sorted(edges, key=lambda name: purl(packages[name]))
    program = component(root, hashes, True) | {"type": "application"}
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(seconds))),
            "component": program,
            "properties": [{"name": "cargo:target", "value": target}],
        },
        "components": [component(packages[name], hashes, name in inside) for name in named if name != root["id"]],
        "dependencies": [
            {"ref": purl(packages[name]), "dependsOn": sorted(purl(packages[other]) for other in edges[name])}
            for name in named
        ],
    }
    # Equal content has an equal number.
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bom, sort_keys=True))
    print(json.dumps(bom | {"serialNumber": f"urn:uuid:{number}"}, indent=1))


def licences(target):
    """Every text once, below the crates that have it."""
    known = metadata(target)
    packages, _, inside = graph(known)
    texts, without = {}, []
    for package in sorted((packages[name] for name in inside), key=purl):
        folder = pathlib.Path(package["manifest_path"]).parent
        title = f"{package['name']} {package['version']} ({expression(package)})"
        files = sorted(file for file in folder.iterdir() if file.is_file() and LICENCE_FILE.match(file.name))
        if not files:
            without.append(f"{title} {package['repository'] or ''}".rstrip())
        for file in files:
            text = file.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").strip()
            texts.setdefault("\n".join(line.rstrip() for line in text.split("\n")), []).append(title)
    print("lowtide is made of these crates as well. Their licences and notices:")
    for text, titles in texts.items():
        print("\n" + "=" * 100 + "\n" + "\n".join(titles) + "\n" + "-" * 100 + "\n" + text)
    print("\n" + "=" * 100 + "\nCrates that say their licence and come without its text:\n\n" + "\n".join(without))


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    {"sbom": sbom, "licences": licences}[sys.argv[1]](*sys.argv[2:])
