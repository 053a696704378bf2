"""Which countries touch, and which continent each is on: facts that databases do not carry.

What belongs here: ISO 3166-1 alpha-2 codes, and XK, which databases use for Kosovo. Territories
with a code of their own stand for themselves (French Guiana touches Brazil, France does not).

    _BORDERS    land boundaries, after the CIA World Factbook
    _CROSSINGS  water of less than 50 km between inhabited shores
    _CONTINENTS UN M49, in the codes of MaxMind; where GeoNames says otherwise, GeoNames, because
                MaxMind and DB-IP follow it: CY is in EU, CC and IO in AS, TL in OC, and BV, GS,
                HM and TF in AN

What must not: boundaries where nobody lives (Hans Island between Canada and Greenland) and leased
bases (Guantanamo, Akrotiri and Dhekelia). tests/detection/test_detection_neighbours.py compares
all of it with lists of other people, and names each difference.
"""

from __future__ import annotations

from typing import Final

_BORDERS: Final = """
AD ES FR
AE OM SA
AF CN IR PK TJ TM UZ
AL GR ME MK XK
AM AZ GE IR TR
AO CD CG NA ZM
AR BO BR CL PY UY
AT CH CZ DE HU IT LI SI SK
AZ AM GE IR RU TR
BA HR ME RS
BD IN MM
BE DE FR LU NL
BF BJ CI GH ML NE TG
BG GR MK RO RS TR
BI CD RW TZ
BJ BF NE NG TG
BN MY
BO AR BR CL PE PY
BR AR BO CO GF GY PE PY SR UY VE
BT CN IN
BW NA ZA ZM ZW
BY LT LV PL RU UA
BZ GT MX
CA US
CD AO BI CF CG RW SS TZ UG ZM
CF CD CG CM SD SS TD
CG AO CD CF CM GA
CH AT DE FR IT LI
CI BF GH GN LR ML
CL AR BO PE
CM CF CG GA GQ NG TD
CN AF BT HK IN KG KP KZ LA MM MN MO NP PK RU TJ VN
CO BR EC PA PE VE
CR NI PA
CZ AT DE PL SK
DE AT BE CH CZ DK FR LU NL PL
DJ ER ET SO
DK DE
DO HT
DZ EH LY MA ML MR NE TN
EC CO PE
EE LV RU
EG IL LY PS SD
EH DZ MA MR
ER DJ ET SD
ES AD FR GI MA PT
ET DJ ER KE SD SO SS
FI NO RU SE
FR AD BE CH DE ES IT LU MC
GA CG CM GQ
GB IE
GE AM AZ RU TR
GF BR SR
GH BF CI TG
GI ES
GM SN
GN CI GW LR ML SL SN
GQ CM GA
GR AL BG MK TR
GT BZ HN MX SV
GW GN SN
GY BR SR VE
HK CN
HN GT NI SV
HR BA HU ME RS SI
HT DO
HU AT HR RO RS SI SK UA
ID MY PG TL
IE GB
IL EG JO LB PS SY
IN BD BT CN MM NP PK
IQ IR JO KW SA SY TR
IR AF AM AZ IQ PK TM TR
IT AT CH FR SI SM VA
JO IL IQ PS SA SY
KE ET SO SS TZ UG
KG CN KZ TJ UZ
KH LA TH VN
KP CN KR RU
KR KP
KW IQ SA
KZ CN KG RU TM UZ
LA CN KH MM TH VN
LB IL SY
LI AT CH
LR CI GN SL
LS ZA
LT BY LV PL RU
LU BE DE FR
LV BY EE LT RU
LY DZ EG NE SD TD TN
MA DZ EH ES
MC FR
MD RO UA
ME AL BA HR RS XK
MF SX
MK AL BG GR RS XK
ML BF CI DZ GN MR NE SN
MM BD CN IN LA TH
MN CN RU
MO CN
MR DZ EH ML SN
MW MZ TZ ZM
MX BZ GT US
MY BN ID TH
MZ MW SZ TZ ZA ZM ZW
NA AO BW ZA ZM
NE BF BJ DZ LY ML NG TD
NG BJ CM NE TD
NI CR HN
NL BE DE
NO FI RU SE
NP CN IN
OM AE SA YE
PA CO CR
PE BO BR CL CO EC
PG ID
PK AF CN IN IR
PL BY CZ DE LT RU SK UA
PS EG IL JO
PT ES
PY AR BO BR
QA SA
RO BG HU MD RS UA
RS BA BG HR HU ME MK RO XK
RU AZ BY CN EE FI GE KP KZ LT LV MN NO PL UA
RW BI CD TZ UG
SA AE IQ JO KW OM QA YE
SD CF EG ER ET LY SS TD
SE FI NO
SI AT HR HU IT
SK AT CZ HU PL UA
SL GN LR
SM IT
SN GM GN GW ML MR
SO DJ ET KE
SR BR GF GY
SS CD CF ET KE SD UG
SV GT HN
SX MF
SY IL IQ JO LB TR
SZ MZ ZA
TD CF CM LY NE NG SD
TG BF BJ GH
TH KH LA MM MY
TJ AF CN KG UZ
TL ID
TM AF IR KZ UZ
TN DZ LY
TR AM AZ BG GE GR IQ IR SY
TZ BI CD KE MW MZ RW UG ZM
UA BY HU MD PL RO RU SK
UG CD KE RW SS TZ
US CA MX
UY AR BR
UZ AF KG KZ TJ TM
VA IT
VE BR CO GY
VN CN KH LA
XK AL ME MK RS
YE OM SA
ZA BW LS MZ NA SZ ZW
ZM AO BW CD MW MZ NA TZ ZW
ZW BW MZ ZA ZM
"""

# A phone near the shore takes the network that it hears best, and people cross every day. A cell
# reaches 35 km in plain GSM (3GPP TS 45.010, timing advance), and further over water.
_CROSSINGS: Final = (
    ("FR", "GB"),  # the Channel, with its tunnel
    ("DK", "SE"),  # the Sound, with its bridge
    ("AX", "FI"),
    ("AX", "SE"),
    ("GB", "IM"),  # to Galloway
    ("FR", "JE"),
    ("FR", "GG"),  # from Alderney
    ("GG", "JE"),  # from Sark
    ("GI", "MA"),  # the Strait
    ("MY", "SG"),  # the causeway
    ("ID", "SG"),  # to Batam
    ("BH", "SA"),  # the causeway
    ("BH", "QA"),
    ("EG", "JO"),  # the Gulf of Aqaba, on which four countries lie within 30 km
    ("EG", "SA"),
    ("IL", "SA"),
    ("IN", "LK"),  # the Palk Strait
    ("CN", "TW"),  # Xiamen and Kinmen
    ("JP", "KR"),  # Tsushima and Busan
    ("TT", "VE"),
    ("AW", "VE"),
    ("AI", "MF"),  # the Leeward and Windward Islands, each in sight of the next
    ("AI", "SX"),
    ("BL", "MF"),
    ("BL", "SX"),
    ("BQ", "KN"),
    ("BQ", "SX"),
    ("DM", "GP"),
    ("DM", "MQ"),
    ("LC", "MQ"),
    ("LC", "VC"),
    ("GD", "VC"),
    ("VG", "VI"),
    ("PR", "VI"),
)

_CONTINENTS: Final = {
    "AF": """
        AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG
        ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW
    """,
    "AN": "AQ BV GS HM TF",
    "AS": """
        AE AF AM AZ BD BH BN BT CC CN GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK
        MM MN MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TM TR TW UZ VN YE
    """,
    "EU": """
        AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI
        LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK
    """,
    "NA": """
        AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI
        PA PM PR SV SX TC TT US VC VG VI
    """,
    "OC": "AS AU CK CX FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS",
    "SA": "AR BO BR CL CO EC FK GF GY PE PY SR UY VE",
}


def neighbours(country: str) -> frozenset[str]:
    """Return the countries that share a border or a short crossing with this one.

    Codes are ISO 3166-1 alpha-2 in capitals. Empty for islands that are far from all others, and
    for "" and whatever else is no code.
    """
    return _NEIGHBOURS.get(country, _NONE)


def continent(country: str) -> str:
    """Return the continent of a country: AF, AN, AS, EU, NA, OC or SA; "" for no known code.

    For databases that give none. Countries on two continents have one: Russia's is EU, Turkey's AS.
    """
    return _CONTINENT_OF.get(country, "")


def _touching() -> dict[str, frozenset[str]]:
    rows = [line.split() for line in _BORDERS.split("\n") if line]
    sets: dict[str, set[str]] = {country: set(others) for country, *others in rows}
    for one, other in _CROSSINGS:
        sets.setdefault(one, set()).add(other)
        sets.setdefault(other, set()).add(one)
    return {country: frozenset(others) for country, others in sets.items()}


_NONE: Final[frozenset[str]] = frozenset()
_NEIGHBOURS: Final = _touching()
_CONTINENT_OF: Final = {
    country: code for code, countries in _CONTINENTS.items() for country in countries.split()
}
