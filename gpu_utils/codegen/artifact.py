"""What the compiler made of one launch, for one target."""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from gpu_utils import occupancy
from gpu_utils.codegen import classes
from gpu_utils.quantities import Label, Quantity

__all__ = ["Artifact"]


def _words(instruction: str) -> list[str]:
    """Split "LDG.E.128" or "v_mfma_f32_32x32x8_bf16" into its words."""
    return re.split(r"[._]", instruction)


@dataclasses.dataclass(frozen=True, repr=False)
class Artifact:
    """The code of one launch; every number is COMPILED, true for the compiler it names.

    Attributes:
        target: name of the target, for example "sm_90".
        kernel: name of the kernel.
        instructions: instruction with its modifiers -> how often it stands in the code (not
            how often it runs), for example {"LDG.E.128": 2}.
        load_widths: bits that one lane loads from global memory -> number of instructions.
        store_widths: the same for stores to global memory.
        async_copy_widths: the same for copies from global to shared memory that bypass the
            registers (LDGSTS; AMD: loads to LDS). TMA copies are instructions["UTMALDG..."].
        registers: registers per thread (AMD: vector registers).
        spill_bytes: bytes per thread that the code stores to local memory since registers ran
            out (NVIDIA: ptxas's "spill stores"; AMD: spilled vector registers, 4 bytes each).
        local_bytes: local memory (AMD: scratch) of a thread, for spills and for arrays that no
            register can hold.
        shared_bytes: shared memory (AMD: LDS) of one block.
        num_warps: warps of one block, those that the compiler added included.
        compiler: the versions that made it, for example "triton 3.7.1, ptxas 12.8".
        tensor_memory_columns: columns of tensor memory (Blackwell), else 0.
        num_stages: stages that software pipelining was allowed.
        fits_message: Triton's words when the launch asks for more than a block can have.
        asm: the texts: "ttgir", and "ptx" with "sass", or "amdgcn".
    """

    target: str
    kernel: str
    instructions: Mapping[str, int]
    load_widths: Mapping[int, int]
    store_widths: Mapping[int, int]
    async_copy_widths: Mapping[int, int]
    registers: int
    spill_bytes: int
    local_bytes: int
    shared_bytes: int
    num_warps: int
    compiler: str
    tensor_memory_columns: int = 0
    num_stages: int = 0
    fits_message: str = ""
    asm: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def fits(self) -> bool:
        """Whether one block fits on the target, so that the launch can start at all."""
        return not self.fits_message

    @property
    def opcodes(self) -> dict[str, int]:
        """Opcode without modifiers -> count, for example {"LDG": 2, "STG": 2}."""
        totals: dict[str, int] = {}
        for instruction, count in self.instructions.items():
            opcode = instruction.partition(".")[0]
            totals[opcode] = totals.get(opcode, 0) + count
        return totals

    @property
    def classes(self) -> dict[str, int]:
        """What instructions are for -> count, as `codegen.classes` sorts them."""
        return classes.by_class(self.instructions)

    @property
    def special_functions(self) -> dict[str, int]:
        """Function of the special function unit -> count: EX2, LG2, RCP, RSQ, SQRT, SIN, ..."""
        totals: dict[str, int] = {}
        for instruction, count in self.select("special function").items():
            function = classes.special_function(instruction)
            totals[function] = totals.get(function, 0) + count
        return totals

    @property
    def occupancy(self) -> occupancy.Occupancy:
        """How many of these blocks live on one SM at once, and what limits them."""
        return occupancy.occupancy(
            self.target,
            max(1, self.registers),
            self.num_warps * occupancy.limits(self.target).warp_size,
            self.shared_bytes,
            self.tensor_memory_columns,
        )

    def select(self, wanted: str) -> dict[str, int]:
        """Return the instructions of a class, or those that begin with the words of `wanted`.

        "matrix" selects what `codegen.classes` counts as such. "LDG" selects LDG.E and LDG.E.128
        but not LDGSTS; "v_mfma" selects every MFMA. A word in between changes the match
        ("LDG.E.EF.128"); `load_widths` does not mind.
        """
        words = _words(wanted)
        return {
            name: count
            for name, count in self.instructions.items()
            if _words(name)[: len(words)] == words or classes.class_of(name) == wanted
        }

    def count(self, wanted: str) -> int:
        """Return how many instructions `select` finds."""
        return sum(self.select(wanted).values())

    def to_json(self, *, with_asm: bool = True) -> str:
        """Return the artifact as JSON, with or without its texts."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        fields["asm"] = dict(self.asm) if with_asm else {}
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str, asm: Mapping[str, str] | None = None) -> "Artifact":
        """Read what `to_json` wrote; `asm`, if given, replaces the texts in it.

        Raises:
            ValueError: it is not the JSON of an artifact.
        """
        fields: dict[str, Any] = json.loads(text)
        if not isinstance(fields, dict) or set(fields) != {f.name for f in dataclasses.fields(cls)}:
            raise ValueError("this JSON is not an artifact of this version")
        for name in ("load_widths", "store_widths", "async_copy_widths"):
            fields[name] = {int(bits): count for bits, count in fields[name].items()}
        return cls(**{**fields, "asm": fields["asm"] if asm is None else asm})

    def __repr__(self) -> str:
        """Two lines; what changes with the compiler is marked, so that nbval can leave it out."""
        moves = [f"loads {_widths(self.load_widths)}", f"stores {_widths(self.store_widths)}"]
        if self.async_copy_widths:
            moves.append(f"async copies {_widths(self.async_copy_widths)}")
        takes = [
            Quantity(self.registers, "registers", Label.COMPILED).text,
            Quantity(self.spill_bytes, "bytes spilled", Label.COMPILED).text,
            Quantity(self.shared_bytes, "bytes shared", Label.COMPILED).text,
        ]
        fit = "" if self.fits else "; does not fit"
        return (
            f"{self.kernel} for {self.target}: {', '.join(moves)} COMPILED\n"
            f"    {', '.join(takes)}{fit}"
        )


def _widths(table: Mapping[int, int]) -> str:
    """{128: 2, 32: 1} -> "⟨2 x 128 bit, 1 x 32 bit⟩", widest first."""
    pairs = [f"{table[bits]} x {bits} bit" for bits in sorted(table, reverse=True)]
    return f"⟨{', '.join(pairs) or 'none'}⟩"
