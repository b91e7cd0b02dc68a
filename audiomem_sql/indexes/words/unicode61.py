"""What each character is to FTS5's tokenizer ``unicode61``: category, small letter, whether it is a mark.

(https://sqlite.org/fts5.html, section 4.3.1.) They are kept as a table, not taken from ``unicodedata``: that
changes with Python's version, and an index must be searched with the words that it was made of.
tests/indexes/words/test_tokenizer.py compares every character with SQLite.
"""

from __future__ import annotations

import base64
import functools
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array, U8Array, U32Array

#: In a folding table: the character ends a word.
SEPARATOR = 0
#: In a folding table: a combining mark; belongs to the word before it, and is dropped.
MARK = 0xFFFFFFFF
CHARACTERS = 0x110000
#: The general categories of Unicode; FTS5 takes characters that it does not know as parts of words.
CATEGORIES = (
    *("Cc", "Cf", "Cn", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No"),
    *("Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"),
)
#: What is part of a word, unless a tokenizer says otherwise.
WORD_CATEGORIES = "L* N* Co"
#: LEB128 numbers, raw DEFLATE, base 85. Categories: runs, their lengths, their numbers in CATEGORIES
#: counted from 1, 0 for unknown. Small letters: how many characters change, differences of these, then for
#: each the distance, zigzag. Marks: how many, differences. Letters without marks, as small letters, for
#: remove_diacritics 1; then what is different for 2.
_PACKED = (
    b"<ysGn6xVs5?|X0Fyq($E-P^mHz1=Z)XN(OLh{48x+E_7Z5~Mh7)K+SvG*W9Rl_Is3lB(^_jw&U0zM>O7u!9IigxU@vHaOHlnAjFYr^"
    b"|_=6TMt1LKq>6C`E`ON-0J3ipb^qeQ##>_Kv&rL2+xT@7sCv=KcG=_kF+jeeY&&tPEWsh)hBk1y+)>xjhUZp(&yH0rf9|(*YXpFX4w"
    b"gFJ!ntQxYgSrzdQZ5Y38^N<uDFh<c5H`%VrTo(-0tgRm&GIoqLfi_Ogd8E}-OexI7+D!|5sFG34s9sv|{31KHg@X6H+5XZ&`U><~zC"
    b"}kc)P_Pt?zE&Ad#7l>^K+k6LB6@UngWK+s!oEuC1yH14i7vI~c#h5xzwANIeK=#Z7)VktYcmgJ>hfs-@0pM)o;G&Xj1<R3bZH)*3_&"
    b"Aez(pYqR_KvsAQmJ5?FLkd7Rh3!AB$*Eg;YUCa!7QVQGkbFSSOu~Iqd|92zfLt^G*D)ZkvRohB`-LMHeWVTP6q>#7ATqF@pCg>n!IA"
    b"#eHZTZ$uYt!8oTO3_!)~v;$_|v>j9Iu=Eb{(wP_LlP=3K87_F~ETT(uv!;upgH{FTurv%wT|~&PrV2@7XmIgSOtu+`C23tEK_^+1G)"
    b"K%Bu8Q<1yFuhxZOV0<prv7n%#mDZd$5G&qcOI`M^_+E&x&ysi6Kcc5<&W4>;W!m;W1tgt^oKc<H0eSTu#@+ji)^PBITb!k!ceJSN*0"
    b"3|0=PC-J1A<5P6?g<P`;GikS6Tui3Q(4h`rf-jH-a%&8OcQ;)z}y_`6%cNYl)34=wk#?b8~(O1eAhZY86afz&jPk})yFHgC=1Xnqre"
    b"nZ0J#soHN&vo2PhV0wP0AP)|E7{bnAuX3^vVpK&A>2-d>$Dc&Gtw9XnU&A`u=vrX?GiqYDf7{D(25YQDVck{TI-yt)SC3mx*@pIop&"
    b"_lntY0RM(}KfsaMl%j0|Ii4el|rz_tlts6+xY0AExBpJvGB4X8n2;-<M9B(6(x0}|AwnYQo<S1H>z><ClP#U_TXO=Q|O2IsFsXL*?_"
    b"W|x+|_UFDByw7TTT7MnB4e+(;i|t%Vfa#igF7#mE9C~@4vu=QwaCJM$@4iWJd%PYd6F~{IC_Z`&m_5pS$d>he`Yf$F2c?Vy)2SP$0&"
    b"XUWG}s*LT>NYWzMTC4Dp@%*E@N{sBiW-SrunVJiT^eSg5~0O$n0)tFUc0V!0ptK?{=5wpNAfVA3q81IvCvz@MJrTYw=8GnZiwE;)08"
    b"9_qu2S?mWi=Sns0Jr3}s(^FK@aE;ZCswyD>zqVdZTO6-><qhGC+8lNaYhMZiHurA$)G?qLHx8&XkH5A-{ye&}J?Ox8|1T!3K_;@G_9"
    b"CtvjW@Mp>D;<P#&v<KOUrD=Cv7xuXBbbDA_NDOsFG02>*Zg?_e!d3&4e|FMbF#M0Th2F!8t(arg_f(lgVy2G%V-H$U^l9qjEOLJS)U"
    b"`4oKmGRzO<nq%vox#6Kz@xtFTKLSy7}XNpr4{S?bnmf_854pV>mL5}BuD3)tDUtKcQl&zi@(KxSJ=9Zz)vg)a^EFDzU3MRY$<tlE|A"
    b"#j!-j`5pwMsfrEjo+T&F5yqAb;!slL&^qHRLg;~~g%hA|wRI1Ce!J}IWwD>iJF?9!AgnS65|FvFLlJq2%@J2Vhp<{?P)f&rGqWPyZ`"
    b"ysYcwKFQuljORX}>=4wL@|w^EnSbQIP&W^#K0-`TqoWDLzMwRTN#EPPuyVFAMk^_)@0$GE^!R2a1)73EjvZQ%eI|uTtUgs;S5YHk5F"
    b"<dm}xBWhjH1Eu-0<=vgTtOwZ(QVl7oSnrQqrG4;0vpCP2_;L?GaHZZiT#g}oV{5^8OIg07|ZqM$5=j4hnEb>>_83%s^59bxE7j4-`!"
    b"ESHKvmbnq!SN}S*^aHSUV5w7|I(jqYJpQ@2+QGMH+lMh1o-D~y(TXXtc1=Nd*I*U+dmWVvq=Fj^+*dkgN~ro8dQQ}kfYo!1+C?lvMN"
    b"<tE8G?a<xsa*Ff50aLRkgnf^I7WZpBp<<$lab^Dm>)--lD?LGxEmxlWcpoy<Y0>?+GqfmL<`*CJBpnwKgIWghz3kF#xPxlUjyD=1nW"
    b"mS6M(LzcF5V4+nZP=<bB1=`VmF3`TF3q#-WLtp1~$epN?`up0-Y2OJ0hsus2E1)80M5Jj?`<|~o$~+!ID0fVYXFAl0dsv=DJuTDV)3"
    b"hChuw!OFp3<vZksos`#%z=MJX<<d&@o$=lw;aN-9lZU2J3F}c(P<V&&rWlp*3wfYHmnG^H_!H?S@$@P@R{hr@AyRotg?(sHcxlmP~z"
    b"EwbZ3UJFG}c&rU`qTym_0lMVwSKP1t8rc!IE)k~~ER_ERpRa@N4N=(HzBg0cp!fRtWQ|IM8KQx<#km6`-e)59?@uotN0Mw~Vtu!c~D"
    b"1eY)Zf1EpWf?d@N1{LiX5e?S@QzuKl}gKcB4vbDkV{RYy+mWw6eLDXC$sz<ji)J73?>jHFz`~TRIkZ38tW4T#5SjCAPo)tL<b~-a+p"
    b"%*@&A*^?2WsXz`#7Jj3H{wlvO#sQ*M=&TegyCs}qYsds~Tr!9$C%lOBSWpkkt5OVEiHox!XEJv*Eccxl&WiLB5iO1!EYR@|^o#>Z1m"
    b"PC2ZEDlFt(l`mM8aCR!SrUi?s5EdFOR>(VIim0X3TA6yTgq7(X8VzY?rlCoVT4w0X`QI>1$Qc3C3JQT@h4bzYX7gq~sht#`{E9&_Db"
    b"*K5+ofoQDRl;+qw`a%ZD^@T<-G3|oiOj{fH$~bc671f5lFR^@z!T8C&W%oCmHW)YIOqs(LTP%u<mCmR?VqZT63O!OPQnlgCl3=b2-@"
    b"t^(-YiPOz&q4#VTsQ>36^$<Bto3dd27mqFsKrW{jXIXM$IjsG#;mVFl~D%75pPU#yz=olwOO-Xc{iXmL<rT*TKv?SjQ7<^r6>Rh&rF"
    b"J>YEeLjGa7Y>RoGx5zWE#wD_>0_l>vFL1IhN3n1(KQ)K;x~nej!K#0Iqx<Mr$aIze;?)vB#gTHswi^gH3y48o2WsCZ(5rfMqLWroCZ"
    b"P@g6k2}FK~4sNG2$l`RFpI5aO4sM}Ppi3!8>Dp9|7@GFq+?mJHv#)rhwg%N@ot6NN($O;8P!7)neMmuQZY4JT>L&{WsdIK#tM_-H>{"
    b"re>`F{;1N}-iff`J=660$ZeCl32W9a{pmShAAH4|_wD~;oIUZ2@3bi9=mKd5jjtN!qX;H136f7W{CBNR->1)*O(buW=S$kWii4!rII"
    b"KWfNan;jzh#tsNM6)6$!R#<$7`51Gv#sTkrn1w)@;dJkQ9FxEbx8Y!3sXG<cND6;ZA!u?9F&noZPegjw!7v&)OrsC$sVUEx+-i>xcZ"
    b">;1e@e-F8sTsgVP@do%YF=8F#|pJOr~0?pY{2JOH9k2!|5HI+9(V~@=Xj}%lkfhuQe#(y-o^nVM`yU-7{>*h=^XV=Y}?jKP%crDxI4"
    b"@kp*CGflAy8>T>?})$T@@wKv@qK}BiXV!<W()jSq`!B>JM{dXU|q@C^hH&}@b%gF^-UE&*b8_R|AF!i;xFLkMEn23w_kbTg%^6@o8O"
    b"#g!G%w*S+t^g;y?J^=v(O1{7m12`Dxv{2dB@@`_TG}3rauvqX$b5&JW=qPgL)9NdAGPt*{kZHhyCtB-E16kH84z^XK6__>(XRcZgaJ"
    b"{prL@FwhIncF#z-cFy$Ty(PT12Sz_RwudqM{$9Af2L|`TVFENx?1hQFfd9v-e{Z@skAKImS8cQBhCPU1TVN{psHXTX(ADWjBZU9LpU"
    b"epUP5;>;=4`>cKkCf(p$8ft)Y1`l<9W6ra~v-gLk<?D<zg}oe;sh<{l?@NZUV-hxodKJ7FJ?T5i-+SoLT<GWX{tBH@8m<<?T)7cjO="
    b"p!7v<wqrh8&^J6gDbg!4jn(h;{V|vMHZoqyb&Nt#f)4g8W+;ktnK^($iJVG9P#9YU46vyy5p1_ktr|=A(#dCNbFW^PIgqQIOUNzS>y"
    b"pA{UCf>qvqT4uulh`Zz#0JqXHi`kUS!@;Ch_;IzVyAdjye@W$-Qq2=PrNPmiv!}II3x~>K`|tT#Sx;TVniGhqhgHcxHutBic{jWI3v"
    b"yyofGH91#wAS7FWboaZOwoH^fbGON@)#;!fk5Aet1tvQKW1{qlmmC~wMJ^0a-%9<|5pBlc1Iusvu`*pv2c`;L9f9=8Y74z*KlRom2{"
    b"8dAgR$X)kC>aZyvPHXD*$J8j%n7XR2sg2Hnv%%?iCe)<5p>C?d>JZUz^+@$-b)<T%I$9m89<QFLo~)j#p01v$o~@p%UaDTMUa4NKUa"
    b"#IDx=D1aI$ph9y;Gg2PF8!PzGwqcf3z_gh&D&BL|dY*MBAdB(W}wx(JrFh(Hqg8=&fiU(c97f=s<KZdN+DMIuwmW$D+|_%v{H#6Vd7"
    b"D4AI%>Ty#FV8eNO7M>nFI(XD7ax=nN^nusQ&-dbO6ptia8N^J|#*4nn(_S%lx&f2TB*K50KyNTYY?Ww&*w2$cR+Wy*s+QHhpwX?OOw"
    b"c*-O?RagXHd*V9`{Fm^J@H%dzWD8Ue>@lu#l!KD_)vV<l+VTI;|uY{_(ps)z7>zhx8pnUL_8U9?SpTe5)EJC6Pd5>aQYduCv5(QE@*"
    b"9RyJV~7=~_PPhvNDEkz#6N4%x#76(jaBgAhgqUkB7dbxVz_+v<+$b^08(;JNDg>V@jX>NT<$+hlvRgEW0O8jOab;pj+ol(c>_Iu%`r"
    b"E=HH4%h46m^oCl0Z6j%QL);&4j0fV)@hkC`cx${Z-X8CWcgC;AugAOM-3^T$h!4i^#_u<@#hT;mXgm@hi$~+J_;`FGJ{g~iPseBCvk"
    b"h%tiZ7e%N_;iG7GG~@_rC!"
)


class _Characters(NamedTuple):
    """``categories`` uint8 (0x110000,); ``marks`` bool; ``folded``: int64, for remove_diacritics 0, 1, 2."""

    categories: U8Array
    marks: BoolArray
    folded: tuple[I64Array, I64Array, I64Array]


@functools.cache
def folding_table(
    remove_diacritics: int = 1,
    categories: str = WORD_CATEGORIES,
    token_characters: str = "",
    separators: str = "",
) -> U32Array:
    """uint32 (0x110000,): for each code point SEPARATOR, MARK, or the code point for it in a term.

    categories: names such as ``Lu``, or ``L*`` for all that begin so. token_characters: those that are
    parts of words, whatever category they have; separators: those that are not. Marks are neither.
    """
    characters = _characters()
    inside = (characters.categories == 0) | in_categories(categories)
    for members, is_inside in ((token_characters, True), (separators, False)):
        codes = np.array([ord(member) for member in members], np.int64)
        inside[codes[~characters.marks[codes]]] = is_inside
    table: U32Array = np.where(inside, characters.folded[remove_diacritics], SEPARATOR).astype(np.uint32)
    marks = characters.marks
    table[marks] = MARK if remove_diacritics else characters.folded[0][marks]
    table.flags.writeable = False
    return table


def marks() -> BoolArray:
    """Which characters are marks to FTS5, bool (0x110000,): no word begins with one."""
    return _characters().marks


def in_categories(names: str) -> BoolArray:
    """Which characters are in one of the categories, bool (0x110000,)."""
    wanted = names.split()
    chosen = [
        number
        for number, category in enumerate(CATEGORIES, 1)
        if category in wanted or f"{category[0]}*" in wanted
    ]
    return np.isin(_characters().categories, chosen)


@functools.cache
def _characters() -> _Characters:
    numbers = _numbers(zlib.decompress(base64.b85decode(_PACKED), -15))
    runs = next(numbers)
    lengths = [next(numbers) for _ in range(runs)]
    categories = np.repeat(np.array([next(numbers) for _ in range(runs)], np.uint8), lengths)
    small = _folded(numbers, np.arange(CHARACTERS, dtype=np.int64))
    marks = np.zeros(CHARACTERS, np.bool_)
    marks[_ascending(numbers)] = True
    without = _folded(numbers, small)
    return _Characters(categories, marks, (small, without, _folded(numbers, without)))


def _folded(numbers: Iterator[int], before: I64Array) -> I64Array:
    table = before.copy()
    for code in _ascending(numbers):
        step = next(numbers)
        table[code] = code + (step >> 1 if step & 1 == 0 else -(step + 1 >> 1))
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
