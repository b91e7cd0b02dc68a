"""The options of a table: chosen when it is created, kept in its catalog, followed by every commit."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from audiomem_sql import audio
from audiomem_sql.columns.vector_index import COMPACT, FINE
from audiomem_sql.errors import DamagedFileError, OptionError, did_you_mean
from audiomem_sql.machine.device import CPU, place_of_models
from audiomem_sql.machine.device import ENVIRONMENT as DEVICE_ENVIRONMENT
from audiomem_sql.machine.limits import DEFAULT, LIMITS
from audiomem_sql.protection.levels import LEVELS, level_named
from audiomem_sql.storage.segment.passage_options import AUTO, passages_option
from audiomem_sql.storage.segment.write_options import WriteOptions

if TYPE_CHECKING:
    from audiomem_sql.audio import Profile

MODULATIONS = ("pcm", "spectrum")
MAX_LEVEL = 22
DEFAULT_MODEL = "all-MiniLM-L6-v2"
#: The model that needs no package and no file; it is never chosen silently.
HASHING = "hashing"
#: What computes the vectors of any other model; the first is the default.
BACKENDS = ("torch", "onnx")
#: Packages that the second one needs.
_OF_ONNX = ("onnxruntime", "tokenizers", "onnx")
#: A table of vectors that a package brings along; then, how models are called that a server runs.
WORDLLAMA = "wordllama"
OPENAI, OLLAMA = "openai:", "ollama:"
#: Where deltas go: behind the segments in the table's file, or into files of their own in a folder beside it.
DELTAS = ("inside", "beside")
#: How finely the vectors of texts are stored.
VECTOR_CODES = (COMPACT, FINE)
#: Whom the order of bytes in a segment serves: who has the file on a disk, or who gets ranges from far away.
LAYOUTS = ("local", "remote")
#: Bytes of values in a block with the second one.
REMOTE_BLOCK_BYTES = 28 << 10
_NOT_CHOSEN = ("model_digest", "parts")
_LEFT_OUT = (
    ("model_backend", BACKENDS[0]),
    ("model_digest", ""),
    ("deltas", DELTAS[0]),
    ("vector_codes", VECTOR_CODES[0]),
    ("passages", AUTO),
    ("layout", LAYOUTS[0]),
)


@dataclass(frozen=True, slots=True)
class TableOptions:
    """The options of a table, each as a user names it.

    profile, modulation, protection: names. model: of the embeddings; model_backend: what runs it.
    compression_level: zstd, 1 to 22, by default that of the profile.
    model_digest: 32 hex digits of the weights that made the vectors, empty as long as there are none; nobody
    chooses it. band_plan, robustness: names, for modulation=spectrum. deltas: inside the table's file, or
    beside it, where its bytes must not be touched by commits. vector_codes: compact or fine, for vectors of
    texts. passages: whether texts are cut that are longer than the model's window: on, off, or the tokens of
    a window; auto: new columns as the model has it, those that are there stay as they are. layout: local, or
    remote, for files in object stores. parts: how many files a sharded table has, which is in no catalog.
    """

    profile: str = "desktop"
    modulation: str = "pcm"
    protection: str = "none"
    model: str = DEFAULT_MODEL
    model_backend: str = BACKENDS[0]
    model_digest: str = ""
    compression_level: int = LIMITS[DEFAULT].level
    band_plan: str = "flat"
    robustness: str = "exact"
    deltas: str = DELTAS[0]
    vector_codes: str = VECTOR_CODES[0]
    passages: str = AUTO
    layout: str = LAYOUTS[0]
    parts: int = field(default=1, compare=False)

    @classmethod
    def check_names(cls, names: Iterable[str], others: Iterable[str] = ()) -> None:
        """OptionError for a name that no option has. others: what the caller takes beside these."""
        known = [name for name in cls.__dataclass_fields__ if name not in _NOT_CHOSEN] + list(others)
        unknown = sorted(set(names) - set(known))
        if "device" in unknown:
            raise OptionError(
                "device is no option of a table, and no file holds one",
                remedy=f"Choose it for the process: {DEVICE_ENVIRONMENT}=cuda in the environment, "
                "SELECT audiomem_device('cuda'), or audiomem_sql.use_device('cuda').",
            )
        if unknown:
            raise OptionError(
                f"there is no option {unknown[0]}",
                remedy=f"{did_you_mean(unknown[0], known)}Options are: {', '.join(known)}.",
            )

    @classmethod
    def parse(cls, values: Mapping[str, Any], folder: str = ".") -> TableOptions:
        """Make options from names and values as a user writes them.

        ``profile=auto`` is decided here, for the disk of ``folder``.

        Raises OptionError, naming the option, for one that does not exist or a value that it cannot take.
        """
        cls.check_names(values)
        profile = audio.resolve(str(values.get("profile", "auto")).lower(), folder).name
        modulation = _known("modulation", values.get("modulation", "pcm"), MODULATIONS)
        protection = level_named(str(values.get("protection", "none"))).name
        deltas = _known("deltas", values.get("deltas", DELTAS[0]), DELTAS)
        model = str(values.get("model", DEFAULT_MODEL))
        backend = str(values.get("model_backend", BACKENDS[0])).lower()
        check_backend(model, backend)
        level = values.get("compression_level", LIMITS[profile].level)
        try:
            number = int(level)
        except (TypeError, ValueError):
            number = 0
        if not 1 <= number <= MAX_LEVEL:
            raise OptionError(f"compression_level {level!r} is not a number from 1 to {MAX_LEVEL}")
        robustness = str(values.get("robustness", "exact")).lower()
        plan = str(values.get("band_plan", "mission" if robustness == "lossy" else "flat")).lower()
        options = cls(
            profile,
            modulation,
            protection,
            model,
            backend,
            compression_level=number,
            band_plan=plan,
            robustness=robustness,
            deltas=deltas,
            vector_codes=_known("vector_codes", values.get("vector_codes", COMPACT), VECTOR_CODES),
            passages=passages_option(values.get("passages", AUTO)),
            layout=_known("layout", values.get("layout", LAYOUTS[0]), LAYOUTS),
        )
        mode = audio.Mode.of(plan, robustness)
        if modulation == "spectrum":
            audio.require_scipy()
            audio.spectrum_profile(audio.PROFILES[profile], mode)
        elif (plan, robustness) != ("flat", "exact"):
            name = "band_plan" if plan != "flat" else "robustness"
            raise OptionError(
                f"{name} says how modulation=spectrum is done; the modulation is {modulation}",
                remedy="Add modulation=spectrum.",
            )
        return options

    @property
    def mode(self) -> audio.Mode | None:
        """Of the spectrum; None for pages that are the samples."""
        return audio.Mode.of(self.band_plan, self.robustness) if self.modulation == "spectrum" else None

    def changed(self, changes: Mapping[str, Any], folder: str = ".") -> TableOptions:
        """These with some others; OptionError as from ``parse``. What only a spectrum has goes with it."""
        values = self.to_catalog()
        values.pop("model_digest", None)
        if "profile" in changes and self.compression_level == LIMITS[self.profile].level:
            del values["compression_level"]  # it was the profile's
        if str(changes.get("modulation", self.modulation)).lower() == "pcm":
            values = {
                name: value for name, value in values.items() if name not in ("band_plan", "robustness")
            }
        changed = TableOptions.parse(values | dict(changes), folder)
        return replace(changed, model_digest=self.model_digest, parts=self.parts)

    def says_otherwise(self, name: str, value: object) -> bool:
        """Whether an option has another value here."""
        return not hasattr(self, name) or str(getattr(self, name)).lower() != str(value).lower()

    def to_catalog(self) -> dict[str, Any]:
        """A plain dict.

        What came later than the format is left out where it says nothing, so that files are as they were.
        """
        packed = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "parts"}
        if self.modulation == "pcm":
            del packed["band_plan"], packed["robustness"]
        return {name: value for name, value in packed.items() if (name, value) not in _LEFT_OUT}

    @classmethod
    def from_catalog(cls, packed: Mapping[str, Any]) -> TableOptions:
        """The inverse; what a newer version added is ignored. DamagedFileError for impossible values."""
        names = cls.__dataclass_fields__
        values = {name: packed[name] for name in names if name in packed and name != "parts"}
        try:
            options = cls(**values)
            if (
                options.profile not in audio.PROFILES
                or options.protection not in LEVELS
                or options.modulation not in MODULATIONS
                or not isinstance(options.model, str)
                or options.model_backend not in BACKENDS
                or not isinstance(options.model_digest, str)
                or len(bytes.fromhex(options.model_digest)) not in (0, 16)
                or not isinstance(options.compression_level, int)
                or not 1 <= options.compression_level <= MAX_LEVEL
                or options.band_plan not in audio.PLANS
                or options.robustness not in audio.ROBUSTNESS
                or options.deltas not in DELTAS
                or options.vector_codes not in VECTOR_CODES
                or options.passages != passages_option(options.passages)
                or options.layout not in LAYOUTS
            ):
                raise ValueError(f"{options}")
            return options
        except (TypeError, ValueError, OptionError) as error:
            raise DamagedFileError(
                f"the options of the table cannot be understood ({error!s:.200})"
            ) from None

    @property
    def audio_profile(self) -> Profile:
        """The shape of the sound."""
        mode = self.mode
        return (
            audio.PROFILES[self.profile]
            if mode is None
            else audio.spectrum_profile(audio.PROFILES[self.profile], mode)
        )

    def write_options(self, avoid: frozenset[str] = frozenset()) -> WriteOptions:
        """How segments are written.

        avoid: names of bands to do without, if those that are left have room for a page.
        """
        mode, shape, limits = self.mode, self.audio_profile, LIMITS[self.profile]
        remote = self.layout != LAYOUTS[0]
        if mode is not None and avoid:
            with contextlib.suppress(OptionError):
                less = audio.Mode.of(self.band_plan, self.robustness, avoid)
                mode, shape = less, audio.spectrum_profile(audio.PROFILES[self.profile], less)
        return WriteOptions(
            profile=shape,
            protection=level_named(self.protection),
            level=int(self.compression_level),
            block_bytes=min(limits.block_bytes, REMOTE_BLOCK_BYTES) if remote else limits.block_bytes,
            threads=min(os.cpu_count() or 1, limits.threads),
            sample_bytes=limits.sample_bytes,
            spool_bytes=limits.spool_bytes,
            parity_bytes=limits.parity_bytes,
            mode=mode,
            vector_codes=self.vector_codes,
            remote=remote,
            parts=self.parts,
        )


def _known(option: str, value: object, known: Collection[str]) -> str:
    """The value in small letters. OptionError if it is none of ``known``."""
    chosen = str(value).lower()
    if chosen not in known:
        raise OptionError(
            f"{option} {chosen!r} does not exist in this version",
            remedy=f"{did_you_mean(chosen, known)}Use one of: {', '.join(known)}.",
        )
    return chosen


def check_backend(model: str, backend: str) -> None:
    """OptionError unless ``backend`` can run ``model``."""
    if backend not in BACKENDS:
        raise OptionError(
            f"model_backend {backend!r} does not exist",
            remedy=f"{did_you_mean(backend, BACKENDS)}Use one of: {', '.join(BACKENDS)}.",
        )
    if not has_backends(model) and backend != BACKENDS[0]:
        raise OptionError(
            f"model={model} has no model_backend={backend}", remedy=f"Leave it out: {model} needs none."
        )


def has_backends(model: str) -> bool:
    """Whether one of ``BACKENDS`` runs ``model``."""
    return model not in (HASHING, WORDLLAMA) and not model.startswith((OPENAI, OLLAMA))


def default_backend(model: str) -> str:
    """What runs ``model`` where nobody says: int8 weights where their packages are installed.

    On a GPU torch, as onnxruntime has no int8 products there. A new table records it. A table that records
    none has the first of ``BACKENDS``.
    """
    is_there = has_backends(model) and all(importlib.util.find_spec(name) for name in _OF_ONNX)
    if is_there and place_of_models() != CPU:
        return BACKENDS[0]
    return BACKENDS[1] if is_there else BACKENDS[0]
