"""Every setting: its default, its unit and a description. `config/bridge.toml` is generated from here; a test compares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bridge.courier_settings import CourierSettings
from bridge.domain.facts import Unpaid
from bridge.domain.groups import Reports
from bridge.place_settings import PlaceSettings, PositionSettings, VisitSettings
from bridge.setting import section_for_each as _sections
from bridge.setting import setting as _setting

CONFIG_NAME: Final = "bridge.toml"
DATABASE_NAME: Final = "dockbridge.db"
SOCKET_NAME: Final = "control.sock"
LOCK_NAME: Final = "serve.lock"
PRIVACY_NAME: Final = "privacy.jsonl"
CREDENTIALS_NAME: Final = "credentials.jsonl"
CERTIFICATES_NAME: Final = "tls"
LOG_PINNED_FACTOR: Final = 2
"""The write-ahead log is pinned if more than so many times `ingest.database_log_bytes` of it can't be moved into the database."""
NAME_A_SITE: Final = "give a site's folder with --site DIR (or `dockbridge serve DIR`), or make one with `dockbridge init DIR`"
"""What to do if a folder is not a site."""
LISTENERS: Final = {"mqtt": False, "mqtts": True, "websocket": False, "wss": True}
"""The settings of listeners; True if the listener uses TLS."""
REPORT_RULES: Final = tuple(rule.value for rule in Reports)
"""The values of people.reports."""
UNPAID_RULES: Final = tuple(rule.value for rule in Unpaid)
"""The values of payments.unpaid."""
LOG_FORMATS: Final = ("console", "json")
"""The values of log.format."""
TOTP_RULES: Final = ("outside", "always", "never")
"""The values of people.totp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """The identity of this site."""

    name: str = _setting("main", "The site's name: the tenant in every topic, v1/{name}/…")
    timezone: str = _setting("UTC", "The time zone in which commands print times and [cutoffs] are meant, such as Europe/Amsterdam.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """Where devices connect. With port 0, the system chooses a free port."""

    mqtt: str = _setting("127.0.0.1:1883", "host:port for MQTT over TCP, without TLS. Empty: off.")
    mqtts: str = _setting("", "host:port for MQTT over TLS. Empty: off.")
    websocket: str = _setting("", "host:port for MQTT over WebSocket, without TLS. Empty: off.")
    wss: str = _setting("", "host:port for MQTT over WebSocket with TLS. Empty: off.")
    tls_cert_file: str = _setting("tls/server.pem", "Certificate chain (PEM) for mqtts and wss. Relative paths start at the site's folder.")
    tls_key_file: str = _setting("tls/server.key", "Private key (PEM) of this certificate.")
    tls_client_ca_file: str = _setting("", "Authority (PEM) that signs client certificates; tls/ca.pem is the site's own. Empty: no client certificates.")
    allow_plain: bool = _setting(False, "Allow mqtt and websocket to listen outside loopback. Passwords then cross the network unencrypted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Limits for connections and sessions."""

    packet_bytes_max: int = _setting(262_144, "Largest MQTT packet, in bytes.", least=1_024, most=268_435_455)
    window: int = _setting(64, "QoS 1 and 2 messages in flight to one client.", least=1, most=65_535)
    session_queue_max: int = _setting(10_000, "Messages that can wait for one client. Beyond this, the server drops the oldest and raises an alert.", least=1)
    session_queue_bytes_max: int = _setting(16_777_216, "Bytes that can wait in memory for one client without a persistent session.", least=65_536)
    session_queue_age_h: float = _setting(168.0, "Hours that a message waits for a disconnected client.", least=0.001)
    session_expiry_days: float = _setting(30.0, "Days after which the session of a disconnected client ends.", least=0.001)
    sessions_max: int = _setting(20_000, "Sessions kept, connected or not.", least=1)
    sessions_per_device_max: int = _setting(8, "Sessions of one device. Beyond this, its oldest disconnected session ends, and an alert is raised.", least=1)
    subscriptions_max: int = _setting(100, "Subscriptions of one client.", least=1)
    connections_max: int = _setting(10_000, "Connections in total. The system's limit of file descriptors can lower this.", least=1)
    connections_per_address_max: int = _setting(5_000, "Connections from one address.", least=1)
    failed_names_per_address_max: int = _setting(
        100,
        "Names that may fail to log in from one address in five minutes. Beyond this, logins from it wait. "
        "Devices that have logged in from it lately neither count nor wait.",
        least=1,
    )
    topic_levels_max: int = _setting(32, "Levels in a topic or topic filter.", least=8, most=65_536)
    topic_bytes_max: int = _setting(1_024, "Length of a topic or topic filter, in bytes.", least=512, most=65_535)
    publish_rate_max: int = _setting(
        2_000, "Messages and topic filters per second from one client, on average. The server reads a faster client more slowly.", least=1
    )
    output_bytes_max: int = _setting(1_048_576, "Bytes written to one client but not yet sent. Beyond this, messages wait in its queue.", least=4_096)
    recent_bytes_max: int = _setting(8_388_608, "Bytes of the newest messages for persistent sessions that stay in memory.", least=0)
    recent_retained_max: int = _setting(50_000, "Order topics whose last time of publication stays in memory; about 200 bytes each.", least=1)
    matches_max: int = _setting(200_000, "Pairs of topic and subscriber that stay in memory until a subscription changes; about 100 bytes each.", least=0)
    message_log_max: int = _setting(
        1_000_000, "Messages that can wait for all persistent sessions together. Beyond this, the server drops messages from the longest queue.", least=1_000
    )
    retained_max: int = _setting(100_000, "Retained topics, order topics not counted. Beyond this, clients outside v1/ can't add more.", least=0)
    ack_flush_ms: int = _setting(200, "Longest delay before the server stores what a client has acknowledged, in milliseconds.", least=2, most=60_000)
    connect_timeout_s: float = _setting(5.0, "Seconds until a CONNECT is complete; and so long a login waits for a store that is behind.", least=0.1)
    authentication_timeout_s: float = _setting(60.0, "Time that the password check may take when the whole fleet reconnects at once, in seconds.", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentSettings:
    """How devices are enrolled."""

    claim_h: float = _setting(24.0, "Hours for which the QR code of a device can be redeemed.", least=0.01, most=720)
    fleet_rows_max: int = _setting(10_000, "Lines of a file for `dockbridge device import`.", least=1, most=100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """Limits of the pipeline from PUBLISH to commit."""

    queue_messages_max: int = _setting(20_000, "Messages that can wait for the store. Beyond this, the server pauses reading.", least=1)
    queue_bytes_max: int = _setting(67_108_864, "Bytes of payload that can wait for the store. Beyond this, the server pauses reading.", least=262_144)
    batch_messages_max: int = _setting(1_000, "Messages in one transaction.", least=1, most=10_000)
    retry_first_s: float = _setting(0.1, "First pause before the server retries a failed write, in seconds. It doubles with each retry.", least=0.001)
    retry_max_s: float = _setting(5.0, "Longest pause between retries, in seconds.", least=0.001)
    database_cache_bytes: int = _setting(33_554_432, "Bytes of the database that the writer caches in memory.", least=1_048_576)
    database_log_bytes: int = _setting(
        67_108_864, "Under load, size of the write-ahead log, in bytes, at which SQLite moves its content into the database.", least=1_048_576
    )
    orders_cached_max: int = _setting(10_000, "Most recently used orders that stay in memory; about 40 kB each.", least=1)
    devices_cached_max: int = _setting(20_000, "Most recently used devices that stay in memory.", least=1)
    codes_cached_max: int = _setting(40_000, "Most recently used codes that stay in memory; about 2 kB each.", least=1)
    articles_cached_max: int = _setting(20_000, "Most recently used SKUs, and codes of articles, that stay in memory; about 500 bytes each.", least=1)
    quarantine_entries_max: int = _setting(
        10_000, "Messages in quarantine. Identical messages of a device count once. Beyond this, the oldest is dropped.", least=1
    )
    badges_cached_max: int = _setting(10_000, "Badges of workers that stay in memory; about 500 bytes each.", least=1)
    gap_alert_after_s: float = _setting(600.0, "Seconds of silence after which the server raises an alert for a device that owes events.", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSettings:
    """How the server stores and publishes orders."""

    events_max: int = _setting(2_000, "Events of one order from one device. Beyond this, its events are rejected; other devices are not affected.", least=10)
    repeats_max: int = _setting(100, "Times that one device may say the same of an order in a row. Beyond this, it is only stored.", least=2)
    parked_deadline_h: float = _setting(24.0, "Hours that an event may wait for its order before the server raises an alert.", least=0.001)
    attempts_max: int = _setting(3, "Failed deliveries of one parcel after which the server raises an alert: propose a return.", least=1)
    complete_after_days: float = _setting(7.0, "Days after which a delivered order is completed by itself. 0: never.", least=0.0)
    late_risk_before_h: float = _setting(
        4.0, "Hours before its promise at which an order that has not left the warehouse is flagged late_risk; one on its way at half of that.", least=0.0
    )
    mispicks_keep_days: float = _setting(90.0, "Days for which refused scans are counted in `dockbridge report mispicks`.", least=0.001)
    silent_after_h: float = _setting(72.0, "Hours without an event after which the server flags a shipped order as silent.", least=0.001)
    status_keep_days: float = _setting(30.0, "Days for which the status of an ended order stays retained.", least=0.001)
    quiet_after_s: float = _setting(
        120.0, "Seconds from a scan until a changed verdict no longer makes its device beep: the worker has gone on to something else.", least=0.0
    )
    position_every_s: float = _setting(10.0, "Of the positions of a phone in so many seconds, the first one is stored.", least=0.0)
    positions_keep_days: float = _setting(7.0, "Days for which the positions of couriers stay stored.", least=0.001)
    position_accuracy_max_m: int = _setting(500, "Worst accuracy of a point that is still used, in metres.", least=1, most=100_000)
    position_speed_max_m_s: float = _setting(
        70.0, "Highest speed of a courier, in metres per second. A point that needs a higher one is not used, unless two others confirm it.", least=1.0
    )
    position_alert_after_s: float = _setting(
        1_800.0, "Seconds in which a phone sends points, but none that can be used, before the server raises an alert.", least=1.0
    )
    sweep_every_s: float = _setting(30.0, "Interval between two checks of all deadlines, in seconds.", least=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSettings:
    """What scanned codes mean. A change holds for events from its time on."""

    containers: str = _setting(
        "", "Containers (totes, cages): regular expressions with blanks between them, that their codes match from the first character. Example: TOTE- CAGE-"
    )
    look_ahead_days: float = _setting(7.0, "Days that a scan may come before the label that explains it.", least=0.001, most=60)
    reuse_after_days: float = _setting(30.0, "Days after a delivery or return after which another parcel may get the same number.", least=1)
    forget_after_days: float = _setting(180.0, "Days without a scan after which another parcel may get the same number.", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSettings:
    """What an order may do before it is paid. An order keeps the rule under which it was created."""

    unpaid: str = _setting("block_pick", "Prepaid orders that are not paid: block_pick refuses their picks and stops at loading; warn only warns, at both.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierSettings:
    """One carrier. Upper and lower case are the same; commas stand between several."""

    names: str = _setting("", "Other names of it in shops' exports. Example: DHL Express, Deutsche Post")
    vehicles: str = _setting("", "Vehicles that are its own: a load into one is for this carrier.")
    docks: str = _setting("", "Docks at which it loads, if neither the scan nor the vehicle says whose it is.")
    devices: str = _setting("", "Devices that load for it, if nothing else says whose vehicle it is.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriersSettings:
    """Carriers that take parcels. A parcel that is loaded for another carrier than its own is answered with stop."""

    silent_after_h: float = _setting(168.0, "Hours without an event after which the server flags an order that carriers have as silent.", least=0.001)
    handover_days: float = _setting(7.0, "Days that a loaded parcel waits to be put on the list of a handover.", least=0.01, most=365)
    handovers_keep_days: float = _setting(730.0, "Days for which closed lists are kept.", least=1)
    each: Mapping[str, CarrierSettings] = _sections(CarrierSettings, "One section for each carrier.", "DHL")


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoffSettings:
    """When a carrier comes. An order that is paid before the cutoff has to leave with that pickup: 14:00/17:30 is a cutoff at 14:00 and a pickup at 17:30.

    Without a pickup it has to leave that day. Commas stand between several of a day; empty: the carrier does not come.
    """

    mon: str = _setting("", "Monday.")
    tue: str = _setting("", "Tuesday.")
    wed: str = _setting("", "Wednesday.")
    thu: str = _setting("", "Thursday.")
    fri: str = _setting("", "Friday.")
    sat: str = _setting("", "Saturday.")
    sun: str = _setting("", "Sunday.")
    holidays: str = _setting("", "Days on which this carrier does not come, such as 2026-12-25, with commas between them.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoffsSettings:
    """Cutoffs (截单) of carriers, by site.timezone. They give an order without a promise the time by which it has to leave; a change moves no earlier order."""

    holidays: str = _setting("", "Days on which no carrier comes, such as 2026-12-25, with commas between them.")
    each: Mapping[str, CutoffSettings] = _sections(CutoffSettings, "One section for each carrier.", "DHL")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArticleSettings:
    """The list of articles (`dockbridge articles import`). Without one, scans of articles are only compared with the SKU that the device names."""

    articles_max: int = _setting(100_000, "Articles of the site.", least=1, most=1_000_000)
    codes_per_article_max: int = _setting(50, "Codes of one article.", least=1, most=1_000)
    file_bytes_max: int = _setting(33_554_432, "Size of a file of articles, in bytes.", least=1_024, most=50_331_648)
    language: str = _setting("en", "Language of the names of articles in receipts: zh or en. An article without a name in it has its other name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSettings:
    """Files of shops and carriers, and folders from which a shop's files are taken in by themselves (`dockbridge orders watch-folder`)."""

    watch_every_s: float = _setting(5.0, "Seconds from one look into the folder to the next.", least=0.01)
    watch_still_s: float = _setting(10.0, "Seconds for which a file must stay as it is before it is read: its sender may not be done yet.", least=0.01)
    watch_files_max: int = _setting(1_000, "Files that are taken in with one look; the oldest first.", least=1)
    watch_file_bytes_max: int = _setting(1_073_741_824, "Size of a file, in bytes. A larger one is refused.", least=1_024)
    stale_h: float = _setting(0.0, "Hours after the last file of a channel, of a shop or a carrier, at which the server raises an alert. 0: never.", least=0.0)
    stale_channels: str = _setting("", "Channels with hours of their own, with blanks between them. Example: shop1=6 dhl=30 old-shop=0")
    denials_max: int = _setting(1_000, "Parcels that are remembered of which a carrier said that it does not have them.", least=1)
    watch_remembered_max: int = _setting(10_000, "Files of a channel whose content is remembered, so that it does not come in again.", least=1)
    watch_keep_days: float = _setting(
        30.0, "Days after which a file is deleted that came in and is in done/: it says who the shop's customers are. 0: it is kept.", least=0.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleSettings:
    """People who work with the site under their own names (`dockbridge people`), and workers, whose badges devices send (`dockbridge workers`)."""

    people_max: int = _setting(1_000, "People of the site, disabled ones included.", least=1, most=100_000)
    tokens_max: int = _setting(20, "Tokens of one person that have not expired.", least=1, most=1_000)
    token_days: int = _setting(90, "Days for which a token is valid, if `people token` does not say otherwise.", least=1, most=3_650)
    password_chars_min: int = _setting(12, "Shortest password of a person, in characters.", least=8, most=128)
    worker_pseudonym_days: float = _setting(30.0, "Days after which a worker's badge gets another pseudonym in the log.", least=1.0)
    worker_link_days: float = _setting(
        60.0,
        "Days after its last use for which a pseudonym is linked to its badge. With worker_pseudonym_days before, "
        "nobody can say later than 90 days after a scan whose it was.",
        least=1.0,
    )
    workers_max: int = _setting(20_000, "Pseudonyms of workers that can be linked to badges. Beyond this, new badges share one that can't.", least=10)
    reports: str = _setting(
        "off",
        "Reports about workers. off: figures only of areas with 5 workers at least, none of single devices that people work with. "
        "groups of 5: also of devices that 5 workers have used. named: of everything, and by worker. A change is in the audit log.",
    )
    totp: str = _setting("outside", "When a login needs a code beside the password: outside (from an address that is not in a private network), always, never.")
    name_failures_max: int = _setting(5, "Logins under one name that may fail in a row before the next one has to wait.", least=1, most=1_000)
    name_failure_forget_s: float = _setting(300.0, "Seconds after which one failed login of a name is forgotten.", least=0.1, most=86_400)
    address_failures_max: int = _setting(20, "Logins from one address that may fail in a row before the next one has to wait.", least=1, most=10_000)
    address_failure_forget_s: float = _setting(30.0, "Seconds after which one failed login from an address is forgotten.", least=0.1, most=86_400)
    failures_remembered_max: int = _setting(10_000, "Names, and addresses, whose failed logins are remembered.", least=100, most=1_000_000)
    logins_at_once_max: int = _setting(
        16, "Logins of people from inside, and as many from outside, that are checked or wait for it at a time. More are turned away.", least=1, most=1_000
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacySettings:
    """Personal data: where the keys are with which it is sealed, and how long it is kept. `dockbridge privacy show` prints what is kept, and why."""

    keys_folder: str = _setting(
        "", "Where the site's keys are. Relative paths start beside the site's folder. Empty: a folder beside it, named like it with .keys at the end."
    )
    contact_keep_days: float = _setting(90.0, "Days after its end for which an order's contact data and notes are kept.", least=0.001)
    quarantine_keep_days: float = _setting(14.0, "Days for which messages of systems in quarantine are kept: they may hold personal data.", least=0.001)
    audit_keep_days: float = _setting(730.0, "Days for which the audit log is kept.", least=1.0)
    forget_orders_max: int = _setting(200, "Orders that are forgotten in one transaction, between two batches of scans.", least=1, most=10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeSettings:
    """What customers are told of their orders. Systems and the desk read it on v1/{site}/orders/{order}/notices; with a url it is also sent out.

    Each notice is one signed HTTPS POST in the form of Standard Webhooks.
    """

    url: str = _setting("", "Where notices are sent: https://host/path. Empty: nowhere.")
    secret_file: str = _setting(
        "notices.secret",
        "The secret with which they are signed (whsec_ and base64). Relative paths start at the site's folder. The server makes a missing one.",
    )
    texts_folder: str = _setting("", "Your own texts: a folder with en.toml and zh.toml, as in config/notices. Empty: those that come with the program.")
    ca_file: str = _setting("", "Authorities (PEM) that sign the receiver's certificate. Empty: those of the system.")
    allow_private: bool = _setting(False, "Allow a url whose host is in a private network or on this machine.")
    allow_plain: bool = _setting(False, "Allow http:// in url. Order and tracking numbers then cross the network unencrypted.")
    tell_within_h: float = _setting(24.0, "Hours after which nothing is told any more: an import of last year's orders tells nobody.", least=0.01)
    arrived_within_min: float = _setting(30.0, "The same for the arrival of a courier, in minutes.", least=0.1)
    keep_days: float = _setting(90.0, "Days for which it is known what was told.", least=1.0)
    batch_max: int = _setting(50, "Notices that are read at once. After a crash, at most so many are sent again.", least=1, most=1_000)
    connections_max: int = _setting(4, "Notices that are sent at a time, each about another order.", least=1, most=100)
    timeout_s: float = _setting(15.0, "Seconds in which the receiver has to answer.", least=0.1, most=300)
    body_bytes_max: int = _setting(16_384, "Largest body of a request, in bytes. A larger one is not sent.", least=1_024, most=262_144)
    response_bytes_max: int = _setting(65_536, "Bytes of an answer that are read.", least=1_024, most=1_048_576)
    poll_s: float = _setting(1.0, "Seconds from one look for new notices to the next.", least=0.01, most=60)
    retry_first_s: float = _setting(1.0, "Longest first pause after a failure, in seconds. It doubles with each further one.", least=0.001)
    retry_max_s: float = _setting(300.0, "Longest pause after a failure, in seconds.", least=0.001)
    tries_max: int = _setting(8, "Times that one notice is sent that the receiver refuses, while it takes others. It is then put aside.", least=1, most=1_000)
    give_up_h: float = _setting(72.0, "Hours after which a notice that could not be sent is put aside.", least=0.01)
    alert_after_s: float = _setting(300.0, "Seconds without success after which the server raises an alert.", least=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSettings:
    """The messages that the bridge publishes."""

    format: str = _setting("cbor", "Encoding of payloads: cbor or json.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSettings:
    """Backups of the database that the server makes by itself. `dockbridge db restore` puts one in its place."""

    folder: str = _setting("backups", "Where they are kept. Relative paths start at the site's folder; another disk is better. Empty: none are made.")
    every_h: float = _setting(24.0, "Hours from one backup to the next.", least=0.01)
    keep: int = _setting(3, "Backups that are kept. Each is as large as the database.", least=1, most=10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Health and metrics over HTTP: /live, /ready and /metrics (Prometheus)."""

    listen: str = _setting("", "host:port, such as 127.0.0.1:9464; with port 0, the system chooses a free port. Empty: off.")
    allow_network: bool = _setting(False, "Allow listen outside loopback: whoever reaches it can see, without a login, how busy the site is.")
    connections_max: int = _setting(32, "Connections at a time. Beyond this, the server closes new ones.", least=1, most=10_000)
    request_bytes_max: int = _setting(16_384, "Largest head of a request, in bytes.", least=1_024, most=1_048_576)
    request_timeout_s: float = _setting(15.0, "Seconds that a client may take for a request and for reading its answer.", least=0.1, most=600)
    read_every_s: float = _setting(
        10.0, "Shortest interval between two reads of the database for /metrics, in seconds; some figures are read less often.", least=0.0
    )
    commit_timeout_s: float = _setting(
        5.0, "Seconds without a commit, while one is due, after which /ready says that the server is not ready.", least=0.1, most=600
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """The server's log, on stderr."""

    format: str = _setting("console", "Form of its lines: console (time, level, sentence) or json (one object a line).")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a site."""

    site: SiteSettings = field(default_factory=SiteSettings)
    listen: ListenSettings = field(default_factory=ListenSettings)
    broker: BrokerSettings = field(default_factory=BrokerSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    orders: OrderSettings = field(default_factory=OrderSettings)
    codes: CodeSettings = field(default_factory=CodeSettings)
    payments: PaymentSettings = field(default_factory=PaymentSettings)
    carriers: CarriersSettings = field(default_factory=CarriersSettings)
    cutoffs: CutoffsSettings = field(default_factory=CutoffsSettings)
    articles: ArticleSettings = field(default_factory=ArticleSettings)
    positions: PositionSettings = field(default_factory=PositionSettings)
    places: PlaceSettings = field(default_factory=PlaceSettings)
    visits: VisitSettings = field(default_factory=VisitSettings)
    imports: ImportSettings = field(default_factory=ImportSettings)
    people: PeopleSettings = field(default_factory=PeopleSettings)
    couriers: CourierSettings = field(default_factory=CourierSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    notices: NoticeSettings = field(default_factory=NoticeSettings)
    publish: PublishSettings = field(default_factory=PublishSettings)
    backup: BackupSettings = field(default_factory=BackupSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    log: LogSettings = field(default_factory=LogSettings)
    enrolment: EnrolmentSettings = field(default_factory=EnrolmentSettings)
