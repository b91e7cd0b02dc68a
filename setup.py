"""Builds SQLite's loadable extension beside the package; everything else is in pyproject.toml.

It is no module of Python: it includes no Python.h and is linked against no libpython, so one file serves every CPython, and
wheels are of the platform alone. Where a compiler or sqlite3ext.h is missing the package is installed without it.
"""

import sys

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext


class BuildLoadable(build_ext):
    """Compiles ``audiomem_sql/audiomem.so``."""

    def get_ext_filename(self, name):
        return name.replace(".", "/") + ".so"

    def get_export_symbols(self, extension):
        return extension.export_symbols

    def run(self):
        # what is built in place stays on this machine, outside the environment that it is for
        if self.inplace or self.editable_mode:
            for extension in self.extensions:
                extension.define_macros.append(("AUDIOMEM_BUILT_FOR", f'"{sys.executable}"'))
        super().run()


class AnyPython(bdist_wheel):
    """A wheel for every CPython 3 of the platform."""

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


SOURCES = ["audiomem.c", "part.c", "runtime.c", "table.c", "values.c"]
setup(
    ext_modules=[
        Extension(
            "audiomem_sql.audiomem",
            [f"vtab/native/{name}" for name in SOURCES],
            depends=["vtab/native/audiomem.h"],
            extra_compile_args=["-std=c99", "-Wall", "-Wextra", "-fvisibility=hidden"],
            libraries=["dl", "pthread"],
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildLoadable, "bdist_wheel": AnyPython},
)
