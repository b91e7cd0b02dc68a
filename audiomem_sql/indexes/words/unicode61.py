"""What each character is to the tokenizer: a separator, part of a word, or a mark that is dropped.

The classes are those of FTS5's tokenizer ``unicode61`` with ``remove_diacritics=1``
(https://sqlite.org/fts5.html, section 4.3.1), and so is the folding of letters. They are kept as a table, not
taken from ``unicodedata``: that changes with Python's version, and an index must be searched with the words
that it was made of. tests/indexes/words/test_tokenizer.py compares every character with SQLite.
"""

from __future__ import annotations

import base64
import functools
import zlib
from collections.abc import Iterator

import numpy as np

from audiomem_sql.arrays import U32Array

#: In :func:`folding_table`: the character ends a word.
SEPARATOR = 0
#: In :func:`folding_table`: a combining mark; belongs to the word before it, and no word begins with it.
MARK = 0xFFFFFFFF
CHARACTERS = 0x110000
#: LEB128 numbers, raw DEFLATE, base 85. Runs of separators: how many, then for each its distance from the end
#: of the last one and its length. Marks: how many, then differences. Folded characters: how many,
#: differences, then for each the distance to what it becomes, zigzag.
_PACKED = (
    b"#a4Yx9LE*!dv9j;cK1FwmyZHACN_y%(c0K?YS*@0Dpg2zqr|OLRjL1orG81R)TUCiv)eyXD58{7oLZP#wqv`F>wrUu>$pxr3BnXn"
    b"L=YvG<yZ(IL|w~r334f-2+`B^?cH%XBhCRSQs3`p=k1#}^JeD#X7*0fCn_wXNEK}Z0|5wupa3?)yCi~PX#hY}CR)G*LkR@jFChSu"
    b"EkA-r2)qaCGbjLdm7^^oAF({oVy|xlM9_#Jgt;e_6d$tpm?+i@9)-Abq=*C6K{1HW6RZQn5*FmpZs16WWP*iZR49Fm6l@_VK?2)<"
    b"5AXn#i$RQ}{R3!W5TdYGvZFAeIG|{c!G6L(8;b$a_gs1}!DO2sB@Y5v1w!#01M6rXpdr98E&K+c0<_iR8*_u(3#1KY5P{IaTw5t2"
    b"I6fLALO}pa9fC;_++uwXJ`fm%B7BO<XoD=~D3zOm_hnP$B!CkXLBYL#5H&D&Q-MT$!h#J5r3R?4%WcuT%|s=k-Qj>J%O$xVD+7T-"
    b"0fL5LOP=T^PK!+;9|+%-%96H>7Ue&}yDI=KZk7H5SOnN8q~x%b|KM2_+FyGrzgocaC7lLYjidze`tUhU%HgLW_~jyaCip%S1%;$S"
    b"(~!L1&+y{D1;+q|Ra&-wqg@h!NU60Y@<ph|YmZm{wgYzU!X~6=b4uZ0AW&f9_fh+s2?eGl_J{!Ph?<zQPEom45VE0EY%9*euY`lV"
    b"&tXx(E7|FD41M~nN82F$0PH`W;f;h}LC${>-{E8xDZ|_hp9Im&ONu1OY5&Y%k{H!UJIyadRdDCla|9LeOA`iw$=b_PKq)>=0&>j9"
    b"pc9O1COwhAgFd%zKb3`Tv5zXkLj2tfy<IHETVQLBn7#)80c#6hg-um|hHw5;K_L(HV0mpT9>LFw?*t=E#|T6!Ho`tp{?!eka%md)"
    b"Iy@3lP(``HM?vOAd5-|z<Q&j`6v0n5LzS>As`mV}>1YL%9Il3cL1A?wO_<CTp%q9dk}ZERzXaLjkiD`UGb?=1N)OnUcgbQz%or6j"
    b"tCcz;WSbUu!sHYZib%NnMoJGV0*SVa(A<ca5j?FTJVY?<k?dn|p=3D3mk~t{LTWx)W?v9W%rH}YGGTHH*CyL>nOK-zQZWfvFZQZt"
    b"@oxUA+)!O9S|OLI-ONss6-LTPQns``JdI1#$k?6q$eA3;Xk6B0r8G0~v>$j|s)O8P$x^tYN2*Sa#@9Q9mK1oEKXS&_Wz)`$<*tn("
    b"I})GR<U!-l9N=2TMESRWXX%!kq5mf3BR+yrDIQ8rKsaHUe?9x`|7xysnUz`PNU$4v_`dFge!jXZ2NKmF45jPJ{<J#mw<i^LjX@l0"
    b"uommEp5Z?murZ@v(wZ{rM(oBO?8QFp$ALr{#33BU5xkB!7&j3|aSX?C0w?h{-od+g52q4k8t>x_&f*--GZqkI7{?l_r8=so25O`x"
    b"!e(k=9H$d>icZs6I!EU@xfiLOI_MHzrYnS<)J5IYL%q~T*hl>|K!Y?y!;BHSPB-W#-J($%V~o=TO%mRryL6AHXqxWR49(IU&C>!c"
    b"rb~<wry5Z!>O{RbF8;tFUm`q7CkfBMG5VdapP^UiWx`kJReFsk#cig+pD6j86?5VZdV_ntNj^V(+>)bmNDj+B*)O|fw_Kt}OvdGc"
    b"T$FQio^6f%_wR%{rF!AV&8kIld$;OQy{b<wuRB#&Lhnjhmh6LSh%u~iN=>U;9-zT!H0q3c{udWhafLH#R=wW_oT>NtSx3KyBWbQb"
    b"dEmf-YIxy=?A*efz1ugGXVUwJ&+4CJh)Lt)_waC3euS*$n3mw$<?yQH+D|@SbUQtaUZ>CLcLtn62Zx+tXT-Vg+;DC>x13RD%o%qO"
    b"?>Kjzd(M=D_njHWEMv}@cNUyQC+5VR8eOaF81)((bfa$4FY2SZnbD&0ls>J`>T`_q`hsrN7j-+MLtoOD^%Z?pzok31zy1L|sE71$"
    b"qKxS48gJ=Q#+V-06TZWgp4RvEjGonVdR{Lu7IjR=b&Xr=GCAEQ_eJ+8quFh7kGm(_Q|@W^tb5Kq&$!^Wx)&Mkj1Kpbd)d9>UUkRZ"
    b"ez(`{aYx*k6LaHkjaTb^n2!ryt9Q|B_d2{wNo%*)<Mn!dUZ>aP`TB>h<KBcf>D^9RX1rN%&YSlZyhShO#eHMsW0PiRhG@fc?T|z?"
    b"5*gsjF%p@82?)jcid<wwJD-pJ0-9@Kcj+=&CCSo))2%SHcevF*g>SXNLMwE)K^LD*jI}|m4e<Xg^=+vS+{m$|ORK&`W<SFRS1JDk"
)


@functools.cache
def folding_table() -> U32Array:
    """uint32 (0x110000,): for each code point SEPARATOR, MARK, or the code point for it in a term."""
    numbers = _numbers(zlib.decompress(base64.b85decode(_PACKED), -15))
    table = np.arange(CHARACTERS, dtype=np.uint32)
    at = 0
    for _ in range(next(numbers)):
        start = at + next(numbers)
        at = start + next(numbers)
        table[start:at] = SEPARATOR
    table[_ascending(numbers)] = MARK
    folded = _ascending(numbers)
    for code in folded:
        step = next(numbers)
        table[code] = code + (step >> 1 if step & 1 == 0 else -(step + 1 >> 1))
    table.flags.writeable = False
    return table


def _ascending(numbers: Iterator[int]) -> list[int]:
    out: list[int] = []
    at = 0
    for _ in range(next(numbers)):
        at += next(numbers)
        out.append(at)
    return out


def _numbers(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0
