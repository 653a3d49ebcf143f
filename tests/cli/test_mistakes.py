"""Mistakes that people make, by command: each ends in one readable message and an exit status, never in a traceback.

Every command has to appear here; `test_every_command_is_here` says which one does not.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy
from archive_samples import M31
from calibration_repositories import DARK, observe, register
from command_line import invoke
from forked import start_script
from lsst.daf.butler import Butler
from made_once import copy_exposures, copy_repo, open_repo
from postgres import new_database
from privileges import OBEY_PERMISSIONS, make_read_only, make_writeable
from s3_server import serve_bucket

from spherex_butler.cli import main
from spherex_butler.ingest import ingest_files

IMAGE = ("exposure=20255110106842", "detector=3")
EXPOSURE = ("--exposure", "20255110106842")

ON_REPOSITORIES = {
    "calibrations": ("REPO",),
    "certify": ("REPO", "dark"),
    "cutouts": ("REPO", "FOUND", "NEW", "--size", "8"),
    "decertify": ("REPO", "dark"),
    "explain": ("REPO", "dark", *EXPOSURE, "--detector", "3"),
    "export": ("REPO", "GOOD"),
    "export to": ("GOOD", "REPO"),
    "ingest": ("REPO", "FILES"),
    "ingest-archive": ("REPO", "TABLE"),
    "ingest-calibrations": ("REPO", "FILES"),
    "list": ("REPO",),
    "obscore-export": ("REPO", "-o", "NEW.vot"),
    "register": ("REPO",),
    "report": ("REPO", "-o", "NEW.html"),
    "search": ("REPO", "10.684 41.269"),
    "serve": ("REPO", "--port", "0"),
    "show": ("REPO", "level2", *IMAGE),
    "spectrum": ("REPO", "10.684 41.269"),
    "summary": ("REPO",),
    "verify": ("REPO",),
    "verify --fix": ("REPO", "--fix"),
}
"""How a command that works on a repository is given; REPO is the wrong one."""

WITHOUT = ("config-path", "create", "exec", "simulate")
"""Commands that open none."""

CHANGING = (
    "certify",
    "decertify",
    "export to",
    "ingest",
    "ingest-archive",
    "ingest-calibrations",
    "register",
    "verify --fix",
)
"""Of these, those that write to it."""

REPOSITORIES = {
    "none": ("NOWHERE/repo", ["There is no repository at 'NOWHERE/repo'", "does not exist", "butler spherex create"]),
    "empty folder": ("EMPTY", ["There is no repository at 'EMPTY'", "butler.yaml", "butler spherex create"]),
    "plain file": ("PLAIN", ["The repository 'PLAIN' cannot be opened", "is a single value", "Expected the folder"]),
    "no YAML": ("BROKEN", ["The repository 'BROKEN' cannot be opened", "Expected the folder or URI of a Butler"]),
    "no database": ("HOLLOW", ["The repository 'HOLLOW' cannot be opened", "database"]),
    "empty name": ("", ["The path of the repository is empty", "expected a folder"]),
    "percent": ("a%20b", ["a%20b', in which Butler reads '%20' as something else", "Use another folder"]),
    "variable": ("$HOME/repo", ["$HOME/repo', in which Butler reads '$H' as something else", "Use another folder"]),
    "question mark": ("repo?", ["repo?', in which Butler reads '?' as something else", "Use another folder"]),
    "unknown scheme": ("foo://x", ["The repository 'foo://x' cannot be opened", "'foo'", "Expected the folder or URI"]),
    "password": ("foo://me:geheim@x", ["foo://me:***@x", "Expected the folder or URI"]),
}
"""Wrong ones, and what is said about them."""

# What is given, the exit status, and the telling words of the message.
COMMAND_LINES = {
    "explain: detector": (("explain", "GOOD", "dark", *EXPOSURE, "--detector", 9), 2, ["no detector 9", "from 1 to 6"]),
    "explain: no such name": (
        ("explain", "GOOD", "dark", *EXPOSURE, "--detector", "D9"),
        2,
        ["there is no detector 9; expected a number from 1 to 6"],
    ),
    "explain: name": (
        ("explain", "GOOD", "dark", *EXPOSURE, "--detector", "three"),
        2,
        ["'three' is not a detector such as '3' or 'D3'"],
    ),
    "explain: huge exposure": (
        ("explain", "GOOD", "dark", "--exposure", 10**23, "--detector", 3),
        2,
        [f"{10**23} is too large a number", "at most 18 digits"],
    ),
    "spectrum: nothing": (("spectrum", "GOOD"), 2, ["Nothing was given to search for", "--catalogue FILE"]),
    "spectrum: position": (("spectrum", "GOOD", "10.684"), 2, ["'10.684' is not understood"]),
    "spectrum: gains": (("spectrum", "GOOD", "1 2", "--gains", "qr2"), 2, ["'qr2' is not 'qr3'"]),
    "spectrum: aperture": (("spectrum", "GOOD", "1 2", "--aperture", "0"), 1, ["0.0 is not a radius", "above 0"]),
    "spectrum: size": (("spectrum", "GOOD", "1 2", "--size", "5"), 2, ["5 is not in the range 11<=x<=301"]),
    "spectrum: picture": (("spectrum", "GOOD", "1 2", "--plot", "x.doc"), 2, ["'x.doc' is not a picture", ".svg"]),
    "spectrum: output": (("spectrum", "GOOD", "1 2", "-o", "x.txt"), 1, ["'x.txt' names no known format", ".ecsv"]),
    "search: nothing": (("search", "GOOD"), 2, ["Nothing was given to search for", "--catalogue FILE"]),
    "search: two kinds": (
        ("search", "GOOD", "10.684 41.269", "--catalogue", "PLAIN"),
        2,
        ["More than one kind of position was given"],
    ),
    "search: option": (("search", "GOOD", "10.684", "41.269", "--detecor", 3), 2, ["No such option '--detecor'"]),
    "search: position": (
        ("search", "GOOD", "10.684"),
        2,
        ["'10.684' is not understood", "two numbers for each position"],
    ),
    "search: declination": (("search", "GOOD", "10.684 91"), 1, ["'10.684 91' is not understood"]),
    "search: wavelength": (("search", "GOOD", "1 2", "--wavelength", "2.2"), 2, ["'2.2' is not a wavelength", "2.2um"]),
    "search: no number": (("search", "GOOD", "1 2", "--wavelength", "red"), 2, ["'red' is not a wavelength", "2.2um"]),
    "search: three": (("search", "GOOD", "1 2", "--wavelength", "1,2,3um"), 2, ["'1,2,3um' is not a wavelength"]),
    "search: radius": (("search", "GOOD", "1 2", "--radius", "wide"), 2, ["'wide' is not an angle", "5arcmin"]),
    "search: radius unit": (("search", "GOOD", "1 2", "--radius", "5um"), 2, ["'5um' is not an angle", "5arcmin"]),
    "search: detector": (("search", "GOOD", "1 2", "--detector", 9), 2, ["there is no detector 9"]),
    "search: period": (("search", "GOOD", "1 2", "--period", "2025"), 1, ["--period 2025 is not a planning period"]),
    "search: collection": (("search", "GOOD", "1 2", "--collections", "no"), 1, ["No collection with name 'no' found"]),
    "search: catalogue": (("search", "GOOD", "--catalogue", "PLAIN"), 1, ["PLAIN"]),
    "search: no catalogue": (("search", "GOOD", "--catalogue", "NOWHERE/x.csv"), 1, ["NOWHERE/x.csv"]),
    "search: format": (
        ("search", "GOOD", "1 2", "--format", "fits"),
        2,
        ["--format fits is not text", "--output FILE"],
    ),
    "search: output": (("search", "GOOD", "1 2", "-o", "x.txt"), 1, ["'x.txt' names no known format", ".ecsv"]),
    "search: folder": (("search", "GOOD", "1 2", "-o", "NOWHERE/x/y.csv"), 2, ["'NOWHERE/x' is not a folder"]),
    "search: both outputs": (
        ("search", "GOOD", "1 2", "-o", "x.csv", "--json"),
        2,
        ["--json prints JSON, and --output writes"],
    ),
    "search: printed file": (
        ("search", "GOOD", "1 2", "-o", "x.csv", "--format", "table"),
        2,
        ["--format table is printed, and --output writes a file instead; give one of them."],
    ),
    "search: two formats": (
        ("search", "GOOD", "1 2", "--json", "--format", "csv"),
        2,
        ["--json prints JSON, and --format csv does not; give one of them."],
    ),
    "search: limit": (
        ("search", "GOOD", "1 2", "--coverage", "--limit", 5),
        2,
        ["--coverage counts all images, and --limit leaves some out; give one of them."],
    ),
    "search: size": (("search", "GOOD", "1 2", "--cutouts", "NEW"), 2, ["--cutouts DIR and --size SIZE go together"]),
    "explain: exposure": (("explain", "GOOD", "dark", "--exposure", 1, "--detector", 3), 1, ["1 is not registered"]),
    "explain: type": (
        ("explain", "GOOD", "drak", *EXPOSURE, "--detector", 3),
        1,
        ["'drak' is not a calibration type of this repository; did you mean 'dark'? It has abs_gain_matrix, "],
    ),
    "explain: two types": (
        ("explain", "GOOD", "drak", "flat", *EXPOSURE, "--detector", 3),
        1,
        ["'drak' is not a calibration type of this repository; did you mean 'dark'?"],
    ),
    "calibrations: types": (
        ("calibrations", "GOOD", "drak", "flat"),
        1,
        ["'drak', 'flat' are not calibration types of this repository. It has abs_gain_matrix, "],
    ),
    "explain: no detector": (
        ("explain", "GOOD", "dark", *EXPOSURE),
        1,
        ["Give --detector …: 'dark' is looked up by detector, and --exposure 20255110106842 alone was given."],
    ),
    "calibrations: detector": (("calibrations", "GOOD", "--detector", 9), 2, ["no detector 9", "from 1 to 6"]),
    "calibrations: time": (("calibrations", "GOOD", "--at", "yesterday"), 1, ["'yesterday'", "expected"]),
    "calibrations: collection": (
        ("calibrations", "GOOD", "--collection", "SPHEREx/defaults"),
        1,
        ["is of type CHAINED"],
    ),
    "certify: detector": (("certify", "GOOD", "dark", "--detector", 7), 2, ["no detector 7", "from 1 to 6"]),
    "certify: replace and keep": (
        ("certify", "GOOD", "dark", "--replace", "--keep"),
        1,
        ["cannot both be replaced and kept; give --replace or --keep."],
    ),
    "certify: release and bounds": (
        ("certify", "GOOD", "dark", "--release", "qr3", "--begin", "2026-01-01"),
        1,
        ["Give --begin … and --end …, or --release qr3, which has its own; not both."],
    ),
    "certify: no token of a release": (
        ("certify", "GOOD", "dark", "--release", "qr3"),
        1,
        [f"no token of qr3 is known; certify one of {DARK} by --token …, with --release qr3."],
    ),
    "certify: release without a time": (
        ("certify", "GOOD", "dark", "--release", "qr1"),
        1,
        ["Give --begin … and --end …; qr2, qr3 have one."],
    ),
    "certify: token": (
        ("certify", "GOOD", "dark", "--token", "cal-drk-v9-2030-001"),
        1,
        ["Neither tokens nor runs of this repository are 'cal-drk-v9-2030-001'", DARK],
    ),
    "cutouts: no size": (("cutouts", "GOOD", "FOUND", "NEW"), 2, ["Missing option '--size'"]),
    "cutouts: size": (
        ("cutouts", "GOOD", "FOUND", "NEW", "--size", "3 parsecs"),
        2,
        ["'3 parsecs' is not a size; expected an angle such as 3arcmin, pixels such as 64, or HEIGHT,WIDTH."],
    ),
    "cutouts: sizes": (("cutouts", "GOOD", "FOUND", "NEW", "--size", "3arcmin,64"), 2, ["'3arcmin,64' is not a size"]),
    "cutouts: three sizes": (("cutouts", "GOOD", "FOUND", "NEW", "--size", "3,4,5"), 2, ["'3,4,5' is not a size"]),
    "cutouts: no pixels": (("cutouts", "GOOD", "FOUND", "NEW", "--size", "0"), 1, ["is not positive and finite"]),
    "cutouts: planes": (
        ("cutouts", "GOOD", "FOUND", "NEW", "--size", "8", "--planes", "FLAGS,VAR"),
        1,
        ["planes names VAR; expected some of FLAGS, VARIANCE, ZODI, PSF, WCS-WAVE."],
    ),
    "cutouts: no table": (("cutouts", "GOOD", "NOWHERE/t", "NEW", "--size", "8"), 1, ["No such file", "'NOWHERE/t'"]),
    "cutouts: other file": (
        ("cutouts", "GOOD", "PLAIN", "NEW", "--size", "8"),
        1,
        ["begins with", "expected a table as ECSV, CSV, VOTable, FITS or Parquet, such as find_images returns."],
    ),
    "cutouts: other table": (
        ("cutouts", "GOOD", "OTHER", "NEW", "--size", "8"),
        1,
        ["The table has the columns id, ra, dec; expected dataset_id, and ra and dec (degrees) or x and y"],
    ),
    "cutouts: folder": (("cutouts", "GOOD", "FOUND", "PLAIN", "--size", "8"), 2, ["'PLAIN' is a file."]),
    "cutouts: connections": (
        ("cutouts", "GOOD", "FOUND", "NEW", "--size", "8", "--connections", 0),
        2,
        ["0 is not in the range x>=1"],
    ),
    "decertify: detector": (("decertify", "GOOD", "dark", "--detector", 0), 2, ["no detector 0", "from 1 to 6"]),
    "export: dimension": (
        ("export", "GOOD", "GOOD", "exposer=3"),
        2,
        ["of SOURCE; did you mean 'exposure'? It has channel, de"],
    ),
    "export: query": (("export", "GOOD", "GOOD", "--where", "detector ="), 1, ["'detector ='", "cannot be searched"]),
    "export: collection": (("export", "GOOD", "GOOD", "--collections", "no"), 1, ["cannot be searched", "no"]),
    "export: detector": (
        ("export", "GOOD", "GOOD", "detector=9"),
        1,
        ["There is no detector 9; expected numbers from 1 to 6"],
    ),
    "export: name": (("export", "GOOD", "GOOD", "detector=three"), 1, ["There is no detector 'three' in the source"]),
    "export: observation": (
        ("export", "GOOD", "GOOD", "exposure=2025W51_1A_0684_9"),
        1,
        ["There is no exposure '2025W51_1A_0684_9' in the source; 'butler query-dimension-records REPO exposure'"],
    ),
    "export: huge": (("export", "GOOD", "GOOD", f"exposure={10**23}"), 2, [f"{10**23} is too large a number"]),
    "ingest: release": (
        ("ingest", "GOOD", "FILES", "--release", "qr9"),
        1,
        ["There is no release 'qr9'; known ones are qr1, qr2, qr3."],
    ),
    "ingest: nothing": (("ingest", "GOOD"), 2, ["There are no PATHS", "--files-from"]),
    "ingest: empty path": (("ingest", "GOOD", ""), 1, ["A path is empty", "'.' for the current one"]),
    "ingest: list": (
        ("ingest", "GOOD", "--files-from", "NOWHERE/list"),
        1,
        ["No such file or directory: 'NOWHERE/list'. Expected a file", "correct the path"],
    ),
    "ingest: password": (
        ("ingest", "GOOD", "foo://me:geheim@host/level2.fits"),
        1,
        ["foo://me:***@host/level2.fits", "holds a password", "leave it out"],
    ),
    "ingest-archive: table": (("ingest-archive", "GOOD", "NOWHERE/t.csv"), 1, ["No such file", "'NOWHERE/t.csv'"]),
    "ingest-archive: no table": (("ingest-archive", "GOOD", "PLAIN"), 1, ["PLAIN"]),
    "ingest-archive: release": (
        ("ingest-archive", "GOOD", "TABLE", "--release", "x"),
        1,
        ["no release 'x'", "qr1, qr2"],
    ),
    "ingest-calibrations: path": (
        ("ingest-calibrations", "GOOD", "NOWHERE/dark.fits"),
        1,
        ["NOWHERE/dark.fits: there is no such file or folder.", "1 failed"],
    ),
    "obscore-export: format": (
        ("obscore-export", "GOOD", "-o", "NEW.fits"),
        1,
        ["no known format; expected .vot, .xml"],
    ),
    "obscore-export: folder": (
        ("obscore-export", "GOOD", "-o", "NOWHERE/x.vot"),
        2,
        ["is not a folder; expected one for the table"],
    ),
    "obscore-export: collection": (
        ("obscore-export", "GOOD", "-o", "NEW.vot", "--collections", "no"),
        1,
        ["no", "query-collections"],
    ),
    "serve: port": (("serve", "GOOD", "--port", 70000), 2, ["70000 is not in the range 0<=x<=65535"]),
    "serve: host": (("serve", "GOOD", "--host", "192.0.2.1"), 1, ["no address of this machine", "such as 127.0.0.1"]),
    "serve: collection": (("serve", "GOOD", "--collections", "no"), 1, ["no", "query-collections"]),
    "list: detector": (("list", "GOOD", "--detector", 9), 2, ["no detector 9", "from 1 to 6"]),
    "list: query": (("list", "GOOD", "--where", "detector ="), 1, ["Expected an expression such as"]),
    "list: collection": (("list", "GOOD", "--collections", "no"), 1, ["no", "query-collections"]),
    "list: time": (("list", "GOOD", "--begin", "yesterday"), 1, ["'yesterday' is not a time; expected UTC such as"]),
    "list: format": (("list", "GOOD", "-o", "NEW.xls"), 1, ["names no known format; expected .ecsv, .csv, .fits"]),
    "list: folder": (("list", "GOOD", "-o", "NOWHERE/x.csv"), 2, ["is not a folder; expected one for the table"]),
    "report: no page": (("report", "GOOD"), 2, ["Missing option '-o' / '--output'"]),
    "list: dash": (("list", "GOOD", "-o", "-"), 2, ["'-' does not stand for the standard output", "or --json"]),
    "report: dash": (("report", "GOOD", "-o", "-"), 2, ["'-' does not stand for the standard output here"]),
    "obscore-export: dash": (("obscore-export", "GOOD", "-o", "-"), 2, ["does not stand for the standard output"]),
    "verify: dash": (("verify", "GOOD", "--report", "-"), 2, ["does not stand for the standard output", "or --json"]),
    "report: folder": (("report", "GOOD", "-o", "NOWHERE/x.html"), 2, ["is not a folder; expected one for the page"]),
    "report: no check": (("report", "GOOD", "-o", "NEW.html", "--verified", "NOWHERE"), 2, ["does not exist"]),
    "report: other check": (
        ("report", "GOOD", "-o", "NEW.html", "--verified", "PLAIN"),
        1,
        ["is not what a check of a repository found", "'butler spherex verify REPO --report FILE' writes"],
    ),
    "summary: argument": (("summary", "GOOD", "level2"), 2, ["unexpected extra argument"]),
    "register: option": (("register", "GOOD", "--force"), 2, ["No such option", "--force"]),
    "show: type": (("show", "GOOD", "drak"), 1, ["no dataset type 'drak' in the repository; did you mean 'dark'? It"]),
    "show: component": (("show", "GOOD", "level2.wcs"), 1, ["is a component; expected a whole dataset", "'level2'."]),
    "show: dimension": (
        ("show", "GOOD", "level2", "exposer=3"),
        2,
        [
            "'exposer' is not a dimension of REPO; did you mean 'exposure'?",
            " It has channel, detector, exposure, group, instrument, planning_period.",
        ],
    ),
    "show: no value": (
        ("show", "GOOD", "level2"),
        1,
        [
            "'level2' needs detector and exposure; detector and exposure were not given. There is, for example, ",
            "example, detector=1 exposure=20255110106842 in spx/l2b-v21-2025-354.",
        ],
    ),
    "show: one value": (("show", "GOOD", "level2", IMAGE[0]), 1, ["; detector was not given. There is, for example, "]),
    "show: another dimension": (("show", "GOOD", "level2", *IMAGE, "channel=4"), 1, ["exposure; leave channel out."]),
    "show: value": (
        ("show", "GOOD", "level2", IMAGE[0], "detector=three"),
        1,
        [
            "no dataset 'level2 exposure=20255110106842 detector=three'",
            "With exposure=20255110106842 there is detector=1.",
        ],
    ),
    "show: observation": (
        ("show", "GOOD", "level2", "exposure=2025W51_1A_0684_9", "detector=D1"),
        1,
        [
            "no dataset 'level2 exposure=2025W51_1A_0684_9 detector=1'",
            "With detector=1 there is exposure=20255110106842.",
        ],
    ),
    "show: no detector": (
        ("show", "GOOD", "level2", IMAGE[0], "detector=7"),
        1,
        ["There is no dataset", "With exposure=20255110106842 there is detector=1."],
    ),
    "show: no exposure": (
        ("show", "GOOD", "level2", "exposure=1", "detector=1"),
        1,
        ["With detector=1 there is exposure=20255110106842."],
    ),
    "show: other collection": (
        ("show", "GOOD", "level2", IMAGE[0], "detector=1", "--collections", "SPHEREx/calib"),
        1,
        ["There is one in spx/l2b-v21-2025-354; give --collections spx/l2b-v21-2025-354."],
    ),
    "show: instrument": (
        ("show", "GOOD", "level2", *IMAGE, "instrument=LSST"),
        1,
        ["no dataset 'level2 instrument=LSST exposure=", "There is, for example, detector=1"],
    ),
    "show: none of a type": (
        ("show", "GOOD", "nonfunc", "detector=1"),
        1,
        ["The repository has no dataset of type 'nonfunc'."],
    ),
    "show: calibration": (
        ("show", "GOOD", "dark", "detector=1"),
        1,
        [
            "There is no dataset 'dark detector=1' in SPHEREx/defaults.",
            f"There is one in spx/{DARK}; give --collections spx/{DARK}, or exposure=… for the one ",
        ],
    ),
    "show: not valid": (
        ("show", "GOOD", "dark", *IMAGE),
        1,
        ["No dataset 'dark detector=3' in SPHEREx/defaults is valid for exposure=20255110106842", "spherex explain"],
    ),
    "show: exposure of a calibration": (
        ("show", "GOOD", "dark", "exposure=1", "detector=3"),
        1,
        ["The exposure 1 is not registered; ingest an image of it first."],
    ),
    "show: observation of a calibration": (
        ("show", "GOOD", "dark", "exposure=2025W51_1A_0684_9", "detector=3"),
        1,
        ["The exposure '2025W51_1A_0684_9' is not registered"],
    ),
    "show: id": (("show", "GOOD", str(UUID(int=1))), 1, [f"There is no dataset with the id {UUID(int=1)}"]),
    "show: id and data ID": (
        ("show", "GOOD", str(UUID(int=1)), *IMAGE),
        1,
        ["is the id of one dataset; leave exposure and detector out."],
    ),
    "show: no data ID": (("show", "GOOD", "level2", "three"), 2, ["'three' is not of the form DIMENSION=VALUE"]),
    "show: collection": (
        ("show", "GOOD", "level2", *IMAGE, "--collections", "SPHEREx/default"),
        1,
        ["There is no collection 'SPHEREx/default' in the repository; did you mean 'SPHEREx/defaults'?"],
    ),
    "show: huge": (("show", "GOOD", "level2", f"exposure={10**23}", "detector=3"), 2, ["too large a number"]),
    "simulate: detectors": (("simulate", "NOWHERE", "--detectors", "7"), 2, ["'7' is not a list of detectors", "1-6"]),
    "simulate: in a file": (("simulate", "PLAIN/x"), 1, ["'PLAIN/x", "Expected a folder; correct the path"]),
    "verify: nothing": (("verify",), 2, ["Nothing to verify; give --config, or a repository."]),
    "verify: report": (
        ("verify", "GOOD", "--report", "NOWHERE/x/r.json"),
        2,
        ["is not a folder; expected one for the"],
    ),
    "config-path: argument": (("config-path", "x"), 2, ["unexpected extra argument"]),
    "exec: no program": (("exec", "pipetusk", "run"), 2, ["no program 'pipetusk' on the PATH", "expected one"]),
    "no such command": (("teleport",), 2, ["No such command 'teleport'"]),
    "misspelt command": (("verfy", "GOOD"), 2, ["No such command 'verfy'; did you mean 'verify'?"]),
    "level": (("--log-level", "LOUD", "verify", "GOOD"), 2, ["'LOUD' is not a level; expected one of CRITICAL, "]),
    "create: exists": (("create", "GOOD"), 1, ["GOOD/butler.yaml' exists already", "make the new one elsewhere"]),
    "create: in a file": (("create", "PLAIN"), 1, ["PLAIN' is a file; a repository needs a folder"]),
    "create: scheme": (("create", "foo://x"), 1, ["'foo://x'", "expected a folder or an s3:// URI"]),
    "create: empty name": (("create", ""), 1, ["The path of the repository is empty", "'.' for the current one"]),
    "create: percent": (("create", "NEW%41"), 1, ["NEW%41', in which Butler reads '%41'", "Use another folder"]),
    "create: variable": (("create", "NEW/${X}"), 1, ["${X}', in which Butler reads '${'", "Use another folder"]),
    "create: hash": (("create", "NEW#1"), 1, ["NEW#1', in which Butler reads '#'", "Use another folder"]),
    "create: files": (("create", "NEW", "--datastore-root", "NEW?"), 1, ["The place of the files is ", "reads '?'"]),
    "create: postgres://": (
        ("create", "NEW", "--database", "postgres://host/name"),
        1,
        ["'postgres', which Butler does not know", "expected one such as 'postgresql://host/name'"],
    ),
    "create: wrong port": (
        ("create", "NEW", "--database", "postgresql://localhost:1/name"),
        1,
        ["cannot be reached", "port 1 failed", "db-auth.yaml"],
    ),
    "create: remote root": (
        ("create", "s3://my-bucket/x"),
        1,
        ["where an SQLite file cannot be; give --database …, such as 'postgresql://host/name'."],
    ),
    "create: password": (
        ("create", "NEW", "--database", "postgresql://me:geheim@host/name"),
        1,
        ["'postgresql://me:***@host/name', holds a password", "~/.lsst/db-auth.yaml", "LSST_DB_AUTH", "PGPASSFILE"],
    ),
    "create: password in the query": (
        ("create", "NEW", "--database", "postgresql://me@host/name?password=geheim"),
        1,
        ["?password=***', holds a password", "~/.lsst/db-auth.yaml"],
    ),
    "create: key of a bucket": (
        ("create", "NEW", "--datastore-root", "s3://key:geheim@bucket/x"),
        1,
        ["s3://key:***@bucket/x', holds a password", "AWS_PROFILE"],
    ),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, str]:
    """Folders and files of all kinds; nothing here is changed, as everything is refused."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "empty").mkdir()
    (folder / "plain").write_text("nothing\n")
    (folder / "broken").mkdir()
    (folder / "broken" / "butler.yaml").write_text("registry: [\n")
    copy_repo(folder / "hollow")
    (folder / "hollow" / "gen3.sqlite3").unlink()
    files = copy_exposures(folder / "files")
    with open_repo(copy_repo(folder / "good")) as butler:
        ingest_files(butler, files[:1], transfer="copy")
        register(butler, "dark", DARK)
        observe(butler, "2025W51_1A_0684_2")
    (folder / "found").write_text(f"dataset_id,ra,dec\n{UUID(int=1)},10,41\n")
    (folder / "other").write_text("id,ra,dec\n1,10,41\n")
    names = {
        name: str(folder / name.lower())
        for name in ("EMPTY", "PLAIN", "BROKEN", "HOLLOW", "GOOD", "FILES", "FOUND", "OTHER", "NEW")
    }
    return {**names, "NOWHERE": str(folder / "nowhere"), "TABLE": str(M31)}


def spelt_out(word: object, places: dict[str, str]) -> str:
    """Return a word with the names of places in it replaced."""
    return re.sub(r"\b(" + "|".join(places) + r")\b", lambda found: places[found[1]], str(word))


def refused(arguments, code, words, places) -> str:
    """Return the message with which a command ends, having checked that it is one, and has these words."""
    result = invoke(*(spelt_out(word, places) for word in arguments), code=code)
    text = result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in text
    assert "geheim" not in text
    for word in words:
        assert spelt_out(word, places) in text, text
    errors = text.partition("Error: ")[2]
    assert not re.search(r"\{'\w+': ", errors), "Python's notation of a mapping"
    assert "healpix" not in errors
    assert "\n\n" not in errors.strip()
    return errors


def test_every_command_is_here():
    on_repositories = {name.partition(" ")[0] for name in ON_REPOSITORIES}
    assert set(main.list_commands(None)) == on_repositories | set(WITHOUT), "add the new command to ON_REPOSITORIES"
    assert {arguments[0] for arguments, *_ in COMMAND_LINES.values()} >= on_repositories | set(WITHOUT)


@pytest.mark.parametrize("repository", REPOSITORIES)
@pytest.mark.parametrize("command", ON_REPOSITORIES)
def test_wrong_repository_is_one_message(places, command, repository):
    wrong, words = REPOSITORIES[repository]
    arguments = [wrong if word == "REPO" else word for word in ON_REPOSITORIES[command]]
    message = refused([command.partition(" ")[0], *arguments], 1, words, places)
    assert message.count("\n") == 1


@pytest.mark.parametrize("case", COMMAND_LINES)
def test_mistake_is_one_message(places, monkeypatch, case):
    monkeypatch.setenv("COLUMNS", "1000")  # in which click wraps nothing
    refused(*COMMAND_LINES[case], places)
    assert not Path(places["NEW"]).exists()


@pytest.mark.parametrize(
    "command", sorted({*ON_REPOSITORIES} - {"calibrations", "certify", "decertify", "explain", "show"})
)
def test_repository_of_another_universe_is_one_message(places, tmp_path, command):
    Butler.makeRepo(str(tmp_path / "rubin"))
    arguments = [str(tmp_path / "rubin") if word == "REPO" else word for word in ON_REPOSITORIES[command]]
    refused(
        [command.partition(" ")[0], *arguments],
        1,
        [" has no exposure_detector_region, planning_period; expected the SPHEREx universe", "formatters only"],
        places,
    )


def test_bucket_that_is_not_there_is_refused_before_anything_is_made(places):
    with serve_bucket("there"):
        words = ["There is no bucket 's3://nobucket/'", "Make it, or correct its name"]
        refused(("create", "NEW", "--datastore-root", "s3://nobucket/x"), 1, words, places)
        assert not Path(places["NEW"]).exists()
        words = ["There is no bucket 's3://nobucket/'"]
        refused(("create", "s3://nobucket/x", "--database", "postgresql://localhost:1/x"), 1, words, places)


def test_bucket_without_credentials_is_refused_before_anything_is_made(places, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("AWS_", "S3_", "LSST_RESOURCES_S3"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, places["NOWHERE"])
    words = ["The bucket 's3://nobucket/' cannot be looked at: ", "credentials", "AWS_PROFILE"]
    refused(("create", "NEW", "--datastore-root", "s3://nobucket/x"), 1, words, places)
    assert not Path(places["NEW"]).exists()


def test_database_without_btree_gist_is_refused_and_nothing_is_left(places, postgres_server):
    url = new_database(postgres_server)
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("DROP EXTENSION btree_gist"))
    engine.dispose()
    words = ["lacks PostgreSQL's extension btree_gist", "'CREATE EXTENSION btree_gist'", "give the same command again"]
    refused(("create", "NEW", "--database", url), 1, words, places)
    assert not Path(places["NEW"]).exists()


def test_database_that_is_not_on_the_server_is_named(places, postgres_server):
    url = sqlalchemy.make_url(postgres_server).set(database="nobody").render_as_string(hide_password=False)
    refused(("create", "NEW", "--database", url), 1, ['database "nobody" does not exist'], places)
    assert not Path(places["NEW"]).exists()


READ_ONLY = (
    OBEY_PERMISSIONS
    + """
import json, warnings
from click.testing import CliRunner
from spherex_butler.cli import main
warnings.filterwarnings("ignore", "unclosed database", ResourceWarning)  # Butler's, where it cannot be opened
results = {}
for name, arguments in json.loads(sys.argv[1]).items():
    result = CliRunner().invoke(main, arguments)
    results[name] = [result.exit_code, result.output, repr(result.exception)]
print(json.dumps(results))
"""
)


@pytest.fixture(scope="module")
def on_read_only(places, tmp_path_factory):
    """What each command that changes a repository says where file permissions forbid it."""
    folder = tmp_path_factory.mktemp("read_only")
    repo = copy_repo(folder / "repo")
    closed = folder / "closed"
    closed.mkdir()
    for one in (repo, closed):
        make_read_only(one)
    given = {**places, "REPO": str(repo), "SIMULATED": str(repo / "simulated"), "INSIDE": str(closed / "inside")}
    lines = {name: (name.partition(" ")[0], *ON_REPOSITORIES[name]) for name in CHANGING}
    lines |= {"create": ("create", "INSIDE"), "simulate": ("simulate", "SIMULATED", "--size", "8")}
    lines |= {f"{name} -n": (*lines[name], "-n") for name in ("create", "simulate")}
    lines |= {"verify": ("verify", "REPO"), "calibrations": ("calibrations", "REPO")}
    words = {name: [spelt_out(word, given) for word in line] for name, line in lines.items()}
    script = start_script(READ_ONLY, json.dumps(words), folder=folder / "elsewhere")
    assert script.wait() == 0, script.said
    for one in (repo, closed):
        make_writeable(one)
    return repo, json.loads(script.output.splitlines()[-1])


@pytest.mark.parametrize("command", CHANGING)
def test_repository_without_write_permission_is_one_message(on_read_only, command):
    repo, results = on_read_only
    code, text, exception = results[command]
    assert (code, exception) == (1, "SystemExit(1)")
    assert text == (
        f"Error: The repository '{repo}' cannot be opened. The database cannot be written to: its file or its folder "
        "is read-only for this user. Expected write permission for both; ask the owner of the repository, or work on a "
        "copy. It said: OperationalError: attempt to write a readonly database.\n"
    )


@pytest.mark.parametrize("command", ["create", "simulate", "create -n", "simulate -n"])
def test_folder_without_write_permission_is_one_message(on_read_only, command):
    repo, results = on_read_only
    code, text, _ = results[command]
    assert code == 1
    assert f"Permission denied: '{repo.parent}/" in text
    assert text.endswith("Expected permission to read and, where it is changed, to write it.\n")


@pytest.mark.parametrize("command", ["verify", "calibrations"])
def test_repository_without_write_permission_can_be_read(on_read_only, command):
    assert on_read_only[1][command][0] == 0


KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in ("PRAGMA cache_size = 5", "BEGIN IMMEDIATE", "CREATE TABLE junk (x)"):
    connection.execute(statement)
connection.executemany("INSERT INTO junk VALUES (?)", [("x" * 2000,)] * 2000)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("command", ["calibrations", "explain", "export", "show", "verify"])
def test_killed_transaction_is_told_and_its_remedy_works(places, tmp_path, command):
    database = copy_repo(tmp_path / "repo") / "gen3.sqlite3"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(database)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert database.with_name("gen3.sqlite3-journal").stat().st_size
    arguments = [str(tmp_path / "repo") if word == "REPO" else word for word in ON_REPOSITORIES[command]]
    words = ["A process was killed while it wrote", "'butler spherex verify REPO --fix'", "What was finished stays"]
    assert refused([command, *arguments], 1, words, places).count("\n") == 1
    invoke("verify", tmp_path / "repo", "--fix")
    invoke("verify", tmp_path / "repo")
    with sqlite3.connect(database) as connection:
        assert not connection.execute("SELECT * FROM sqlite_master WHERE name = 'junk'").fetchall()
    connection.close()
