"""Three documents for whoever answers for personal data, filled from the table of retention and a site's settings.

They are a beginning: what stands in [brackets] only the company knows. The law is that of the European Union, with a word on China's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bridge.config import Settings
from bridge.operations.privacy import Row, rows_of
from bridge.operations.retention import Whose

_INTRO: Final = "Made by `dockbridge privacy documents` for site {site}. Fill in what stands in [brackets], and make it again after a change of the settings.\n"

_RECORD: Final = """\
# Record of processing

{intro}
Controller: [company, address, representative]. Data protection officer: [name, contact]. Processors: [who runs the machine, if not the company itself].

| what | whose | for what | basis (proposed) | form | who reads it | kept |
|---|---|---|---|---|---|---|
{table}

**Recipients.** Couriers see the contact of the orders in their open jobs. Carriers get what [the label or the carrier's interface] says. Nothing is sent to
anyone else, and no personal data is on retained topics, in logs, in metrics or in addresses of pages.

**Transfers.** None by the server. [Where the machine and its backups are.]

**Measures** (Art. 32): TLS outside the machine; each device and person with its own secret, hashed; roles for people, one table of rights; contact data
sealed with AES-256-GCM under a key for each part, wrapped by a site key outside the site's folder and its backups; each look at a contact in an audit log
that is chained by hash; deletion by time and on demand with a search for what was deleted; a restore forgets again what was forgotten since the backup.
"""

_ASSESSMENT: Final = """\
# Outline of an impact assessment

{intro}
GDPR Art. 35; in China PIPL Art. 55 and 56. Needed if couriers are followed by their phones on a large scale.

## What is done, and why
{purposes}

## Is it needed, and no more than that?
- Contact data is used for delivery alone, and destroyed {contact} days after the end of an order.
- Positions are kept for {positions} days, only while a courier is on duty and has parcels on board; the others are counted without coordinates.
- Reports by person are {reports}.
- [What of it the company does not need: leave it out of the map of the import.]

## Risks, and what is done against them
| risk | for whom | what is done | what remains |
|---|---|---|---|
| a stolen database or backup | customers | sealed; the key is elsewhere | whoever has both can read it: [where the key and its sheet are] |
| a stolen phone | customers of open jobs | `device revoke`; `privacy exposed` lists whose data it could hold | what was on the screen |
| a curious colleague | customers | roles; each look is in the audit log | [who reads the audit log, how often] |
| a courier is watched | couriers | nothing off duty; no ranking by breaks, declines or offline time | position on duty |
| a worker is measured | workers | pseudonyms that end; reports by person {reports} | a small shift is known to those who are in it |
| it is kept too long | all | the server destroys it by itself; the table above | copies that people make: exports, prints |

## Opinion
[Of the data protection officer; of the works council or the staff.]
"""

_ANNEX: Final = """\
# Annex to a works agreement

{intro}
Between [company] and [works council], on the system Dockbridge.

1. **What is recorded about workers and couriers**

| what | whose | for what | who reads it | kept |
|---|---|---|---|---|
{workers}

2. **What is not.** Positions outside a shift, in a break, or without parcels on board are not stored. Declined jobs, time offline and the length of breaks
   enter no ranking and no report. Travel times are learned by zone and hour, never by person.
3. **Reports by person** are {reports}. Whoever changes that does so under their name, in the audit log; the works council gets an entry of each change: [how].
4. **No decision about a person** rests on the system alone.
5. **One's own data**: a courier sees their own day and why they were given a job. Workers and couriers get a copy of what is kept about them: [whom to ask].
6. **Pseudonyms**: scans bear a pseudonym that changes, and that nobody can trace back to a person once its time is over (see the table).
7. **The works council may read** this table at any time (`dockbridge privacy show`), and the audit log of changes of settings.
"""


def documents(settings: Settings) -> Mapping[str, str]:
    """The documents of a site, by file name."""
    rows = rows_of(settings)
    said = {
        "intro": _INTRO.format(site=settings.site.name),
        "table": _table(rows, lambda r: (r.what, r.whose, r.purpose, r.basis, r.form, r.readers, r.kept)),
        "workers": _table([r for r in rows if r.whose is not Whose.CUSTOMERS], lambda r: (r.what, r.whose, r.purpose, r.readers, r.kept)),
        "purposes": "\n".join(f"- {r.what} ({r.whose}): {r.purpose}." for r in rows),
        "contact": f"{settings.privacy.contact_keep_days:g}",
        "positions": f"{settings.orders.positions_keep_days:g}",
        "reports": settings.people.reports,
    }
    templates = {"record-of-processing.md": _RECORD, "impact-assessment.md": _ASSESSMENT, "works-agreement-annex.md": _ANNEX}
    return {name: template.format(**said) for name, template in templates.items()}


def _table(rows: list[Row], cells: Callable[[Row], tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells(row))} |" for row in rows)
