"""What each instruction is for: the one table that sorts SASS and AMD instructions into classes.

Each instruction is of one class, the first whose pattern it matches from its beginning; what no
pattern matches (moves, conversions, lane exchanges, branches, fences) is "other".

Source: NVIDIA, CUDA Binary Utilities, Instruction Set Reference (Turing to Blackwell); AMD,
Instinct MI300 (CDNA3) and CDNA4 Instruction Set Architecture.
"""

import re
from collections.abc import Mapping

__all__ = ["CLASSES", "OTHER", "by_class", "class_of", "special_function"]

OTHER = "other"

CLASSES: dict[str, str] = {
    "matrix": r"[BDHIOQ]G?MMA\b|UTC[HIOQ]MMA\b|v_(?:mfma|smfmac|wmma|swmmac)",
    "special function": r"MUFU\b|v_(?:exp|log|rcp|rsq|sqrt|sin|cos|tanh)_",
    # From global to shared memory, past the registers. `disassemble` marks AMD's with ".lds".
    "async copy": r"LDGSTS\b|(?:buffer|global)_load_(?:lds_|\w+\.lds$)",
    "TMA": r"UTMA[A-Z]+\b|UBLK(?:CP|PF|RED)\b",
    "global memory": r"(?:LDG?|STG?|REDG?|ATOMG?)\b|(?:global|buffer|flat)_(?:load|store|atomic)",
    # AMD's permutations pass through the crossbar of LDS and use none of its memory.
    "shared memory": r"(?:LDS|STS|LDSM|STSM|ATOMS|STAS|REDAS)\b|ds_(?!b?permute|swizzle)",
    "tensor memory": r"(?:LDTM?|STTM?|UTCCP|UTCSHIFT)\b",
    "local memory": r"(?:LDL|STL)\b|scratch_(?:load|store)",
    "barrier": r"(?:BAR|WARPSYNC|SYNCS|ARRIVES|DEPBAR|LDGDEPBAR|WARPGROUP|UTCBAR|UCGABAR_\w+)\b"
    r"|s_barrier",
    "float": r"U?[DFH](?:ADD|MUL|FMA|MNMX|SET|CHK|SWZ)"
    r"|v_(?!cvt|mov|pack)\w+_b?f(?:16|32|64)(?:_dpp|_sdwa)?$",
    # Without IMAD.MOV, which copies a register.
    "integer": r"(?!IMAD\.MOV)U?V?I(?:ABS|ADD|DP|MAD|MNMX|SCADD|SETP)"
    r"|U?(?:LEA|LOP|SHF|SHL|SHR|POPC|FLO|BREV|BMSK|SGXT)\d?\b"
    r"|[vs]_(?!mov|cvt|cndmask|cselect|accvgpr|perm|pack|read|write|load|set|get|\w+saveexec)"
    r"\w+_[biu](?:16|24|32|64)(?:_dpp|_sdwa)?$",
}
_PATTERNS = {name: re.compile(pattern) for name, pattern in CLASSES.items()}

# AMD's words for the functions of NVIDIA's MUFU; both raise 2 to a power, both take log2.
_FUNCTIONS = {
    "exp": "EX2", "log": "LG2", "rcp": "RCP", "rsq": "RSQ", "sqrt": "SQRT", "sin": "SIN",
    "cos": "COS", "tanh": "TANH",
}  # fmt: skip


def class_of(instruction: str) -> str:
    """Return the class of one instruction, a key of `CLASSES` or "other".

    >>> class_of("HGMMA.64x128x16.F32.BF16"), class_of("v_exp_f32"), class_of("BRA")
    ('matrix', 'special function', 'other')
    """
    return next((name for name, known in _PATTERNS.items() if known.match(instruction)), OTHER)


def special_function(instruction: str) -> str:
    """Return which function a "special function" computes, in NVIDIA's letters.

    >>> special_function("MUFU.RSQ"), special_function("v_exp_f32")
    ('RSQ', 'EX2')
    """
    if instruction.startswith("MUFU."):
        return instruction.split(".")[1].removesuffix("64H")  # a double's upper half
    return _FUNCTIONS[instruction.split("_")[1]]


def by_class(instructions: Mapping[str, int]) -> dict[str, int]:
    """Return class -> how many instructions, for the classes that occur, in the table's order.

    >>> by_class({"LDG.E.128": 2, "FADD": 8, "STG.E.128": 2, "EXIT": 1})
    {'global memory': 4, 'float': 8, 'other': 1}
    """
    counts = dict.fromkeys([*CLASSES, OTHER], 0)
    for instruction, count in instructions.items():
        counts[class_of(instruction)] += count
    return {name: count for name, count in counts.items() if count}
