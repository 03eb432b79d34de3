"""Language codes: the tags `zh-Hans`, `zho` and `cmn_Hans` all mean Chinese, `zh`.

A language has its two-letter code of ISO 639-1 if there is one, else its three-letter code of ISO
639-3. Scripts and regions are dropped. `und` is an unknown language.
"""

from __future__ import annotations

import re

UNDETERMINED = "und"

# ISO 639-1 with the codes of ISO 639-2 and 639-3, and those of the standard forms of Chinese,
# Arabic and others.
_CODES = """
aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara/arb as:asm av:ava ay:aym/ayr az:aze/azj
ba:bak be:bel bg:bul bi:bis bm:bam bn:ben bo:bod/tib br:bre bs:bos ca:cat ce:che ch:cha co:cos
cr:cre cs:ces/cze cu:chu cv:chv cy:cym/wel da:dan de:deu/ger dv:div dz:dzo ee:ewe el:ell/gre en:eng
eo:epo es:spa et:est/ekk eu:eus/baq fa:fas/per/pes ff:ful fi:fin fj:fij fo:fao fr:fra/fre fy:fry
ga:gle gd:gla gl:glg gn:grn/gug gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv ht:hat hu:hun
hy:hye/arm hz:her ia:ina id:ind ie:ile ig:ibo ii:iii ik:ipk io:ido is:isl/ice it:ita iu:iku ja:jpn
jv:jav ka:kat/geo kg:kon ki:kik kj:kua kk:kaz kl:kal km:khm kn:kan ko:kor kr:kau ks:kas ku:kur/kmr
kv:kom kw:cor ky:kir la:lat lb:ltz lg:lug li:lim ln:lin lo:lao lt:lit lu:lub lv:lav/lvs mg:mlg/plt
mh:mah mi:mri/mao mk:mkd/mac ml:mal mn:mon/khk mr:mar ms:msa/may/zsm mt:mlt my:mya/bur na:nau
nb:nob nd:nde ne:nep/npi ng:ndo nl:nld/dut nn:nno no:nor nr:nbl nv:nav ny:nya oc:oci oj:oji
om:orm/gaz or:ori/ory os:oss pa:pan pi:pli pl:pol ps:pus/pbt pt:por qu:que/quy rm:roh rn:run
ro:ron/rum ru:rus rw:kin sa:san sc:srd sd:snd se:sme sg:sag sh:hbs si:sin sk:slk/slo sl:slv sm:smo
sn:sna so:som sq:sqi/alb/als sr:srp ss:ssw st:sot su:sun sv:swe sw:swa/swh ta:tam te:tel tg:tgk
th:tha ti:tir tk:tuk tl:tgl tn:tsn to:ton tr:tur ts:tso tt:tat tw:twi ty:tah ug:uig uk:ukr ur:urd
uz:uzb/uzn ve:ven vi:vie vo:vol wa:wln wo:wol xh:xho yi:yid/ydd yo:yor za:zha zh:zho/chi/cmn zu:zul
"""
_TWO_LETTERS = {entry[:2] for entry in _CODES.split()}
_SHORT = {long: entry[:2] for entry in _CODES.split() for long in entry[3:].split("/")}
_TAG = re.compile(r"([A-Za-z]{2,3})([-_][A-Za-z0-9]{1,8})*")


def language_code(tag: str) -> str | None:
    """Return the language code of a tag such as "en", "zh-Hans" or "deu_Latn"; None if the tag is
    not valid.

    It is the code of two letters if the language has one. All codes of two letters are known; any
    three letters may be a code.

    >>> [language_code(tag) for tag in ("en", "pt_BR", "cmn-Hans", "tlh", "klingon", "jp", "")]
    ['en', 'pt', 'zh', 'tlh', None, None, None]
    """
    found = _TAG.fullmatch(tag)
    if found is None:
        return None
    code = found[1].lower()
    return _SHORT.get(code, code) if len(code) == 3 or code in _TWO_LETTERS else None
