"""Builds the loadable extensions of SQLite and DuckDB; everything else is in pyproject.toml.

They are no modules of Python: they include no Python.h and are linked against no libpython, so one file of
each serves every CPython, and wheels are of the platform alone. Where a compiler or sqlite3ext.h is missing
the package is installed without. So is the library that decodes blocks, which needs zstd's headers.
"""

import platform
import re
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

#: The sources of DuckDB's extension.
DUCKDB = (
    "duckdb",
    "duckdb_objects",
    "duckdb_vectors",
    "duckdb_stream",
    "duckdb_tables",
    "duckdb_scalars",
    "duckdb_copy",
    "duckdb_names",
    "duckdb_layout",
    "duckdb_write",
)
#: Releases of DuckDB whose second interface the scan is built for: those of vtab/native/duckdb_v2_places.h.
DUCKDB_RELEASES = ("2.0.0", "2.0.1")
FILES = {
    "audiomem": "audiomem.so",
    "duckdb": "audiomem.duckdb_extension",
    "audiomem_blocks": "audiomem_blocks.so",
} | {
    f"duckdb_{release.replace('.', '_')}": f"audiomem_{release.replace('.', '_')}.duckdb_extension"
    for release in DUCKDB_RELEASES
}


class BuildLoadable(build_ext):
    """Compiles ``audiomem_sql/audiomem.so`` and ``audiomem_sql/audiomem.duckdb_extension``."""

    def get_ext_filename(self, name):
        """Where the built file of an extension is put."""
        *package, module = name.split(".")
        return "/".join([*package, FILES[module]])

    def get_export_symbols(self, extension):
        """The symbols of the extension alone: there is no function that starts a module of Python."""
        return extension.export_symbols

    def run(self):
        """Build all extensions."""
        # what is built in place stays on this machine, outside the environment that it is for
        if self.inplace or self.editable_mode:
            for extension in self.extensions:
                extension.define_macros.append(("AUDIOMEM_BUILT_FOR", f'"{sys.executable}"'))
        super().run()

    def build_extension(self, extension):
        """Build one extension; that of DuckDB gets the footer that DuckDB looks for."""
        super().build_extension(extension)
        _, _, name = extension.name.rpartition(".")
        if name.startswith("duckdb"):
            release = name.removeprefix("duckdb").strip("_").replace("_", ".")
            end = footer("C_STRUCT_UNSTABLE", f"v{release}") if release else footer("C_STRUCT", "v1.2.0")
            with Path(self.get_ext_fullpath(extension.name)).open("r+b") as file:
                if end not in file.read()[-len(end) :]:
                    file.write(end)


def footer(interface, built_for):
    """What DuckDB looks for at the end of an extension: what it was built for, and room for a signature.

    A custom section of WebAssembly, whose content are eight fields of 32 bytes, the last first (three are not
    used), and 256 bytes of signature:
    https://github.com/duckdb/extension-ci-tools/blob/main/scripts/append_extension_metadata.py
    """
    version = re.search(
        r'= "(.*)"', Path(__file__).with_name("audiomem_sql").joinpath("_version.py").read_text()
    )[1]
    machine = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}.get(
        platform.machine(), platform.machine()
    )
    system = {"Linux": "linux", "Darwin": "osx"}.get(platform.system(), platform.system().lower())
    if system == "linux" and "musl" in platform.libc_ver()[0]:
        machine += "_musl"
    fields = ["", "", "", interface, f"v{version}", built_for, f"{system}_{machine}", "4"]
    head = b"\x00\x93\x04\x10duckdb_signature\x80\x04"
    return head + b"".join(field.encode().ljust(32, b"\0") for field in fields) + bytes(256)


class AnyPython(bdist_wheel):
    """A wheel for every CPython 3 of the platform."""

    def get_tag(self):
        """Any CPython 3, no ABI of Python, and the platform."""
        return "py3", "none", super().get_tag()[2]


def loadable(name, *sources, headers, macros=()):
    """A loadable file of these sources and what all extensions share; optional, if it cannot be built."""
    return Extension(
        name,
        [f"vtab/native/{source}.c" for source in (*sources, "runtime", "cells", "part")],
        depends=[f"vtab/native/{header}.h" for header in (*headers, "runtime")],
        define_macros=list(macros),
        extra_compile_args=["-std=c99", "-Wall", "-Wextra", "-fvisibility=hidden"],
        libraries=["dl", "pthread"],
        optional=True,
    )


def second_interface(release):
    """The scan for the second interface of a release of DuckDB."""
    name = f"duckdb_{release.replace('.', '_')}"
    major, minor, patch = map(int, release.split("."))
    macros = {
        "AUDIOMEM_DUCKDB": str(major * 10000 + minor * 100 + patch),
        "AUDIOMEM_ENTRY": f"audiomem_{release.replace('.', '_')}_init_c_api_v2",
    }
    return loadable(
        f"audiomem_sql.{name}",
        *(
            "duckdb_v2",
            "duckdb_v2_scan",
            "duckdb_v2_values",
            "duckdb_v2_pragma",
            "duckdb_v2_macro",
            "duckdb_objects",
            "duckdb_vectors",
            "duckdb_stream",
        ),
        headers=["duckdb", "duckdb_door", "duckdb_layout", "duckdb_v2", "duckdb_v2_places"],
        macros=macros.items(),
    )


setup(
    ext_modules=[
        loadable(
            "audiomem_sql.audiomem",
            "audiomem",
            "aggregates",
            "numbers",
            "plans",
            "table",
            "times",
            "values",
            headers=["audiomem"],
        ),
        loadable("audiomem_sql.duckdb", *DUCKDB, headers=["duckdb", "duckdb_door", "duckdb_layout"]),
        *map(second_interface, DUCKDB_RELEASES),
        Extension(
            "audiomem_sql.audiomem_blocks",
            ["vtab/native/blocks.c", "vtab/native/matching.c", "vtab/native/pages.c"],
            depends=["vtab/native/blocks.h"],
            extra_compile_args=["-std=c99", "-Wall", "-Wextra", "-fvisibility=hidden"],
            libraries=["zstd"],
            optional=True,
        ),
    ],
    cmdclass={"build_ext": BuildLoadable, "bdist_wheel": AnyPython},
)
