"""Every setting: its name, type, default and one sentence; no other file reads a setting from the environment.

A value comes from the first of: environment (`DXGATE_<SECTION>_<NAME>`), configuration file (TOML, named by
`DXGATE_CONFIG` or `<home>/dxgate.toml`), preset (`DXGATE_PRESET=embedded|distributed`), default. An unknown key
is an error in each of them. `dxgate doctor` prints what is in force and where it came from.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.domain.access import Role
from gateway.domain.errors import Invalid
from gateway.domain.report import RECORD

_KEY_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_ORIGIN = r"^(https://[a-z0-9.-]+|http://(localhost|127\.0\.0\.1))(:[0-9]{1,5})?$"
_SOCKET_PATH_LIMIT = 107  # sun_path holds 108 bytes with its terminating zero, unix(7)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GatewaySettings(Section):
    home: Path = Path("~/.local/share/dxgate")
    """Folder for the embedded database, blobs, key rings, broker, audit anchors and dxgate.toml."""
    organization: str = "dxgate"
    """Name of the organisation that performs the analysis, as written into reports."""
    dicomweb_url: str = Field("", pattern=r"^(https?://[^\s?#]+)?$")
    """Base address of the DICOMweb server that has the images, named in reports; empty names none."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity of the log lines written to standard error."""
    log_format: Literal["text", "json"] = "text"
    """Form of the log lines."""


class DatabaseSettings(Section):
    url: str = ""
    """SQLAlchemy URL; empty means SQLite in the home folder, postgresql://... means PostgreSQL."""
    pool_size: int = Field(8, ge=1, le=200)
    """Connections that one process may hold to PostgreSQL."""


class BlobSettings(Section):
    url: str = ""
    """Where sealed objects lie: empty or a folder path, or s3://bucket/prefix."""
    s3_endpoint: str = ""
    """Endpoint of an S3 service that is not AWS; credentials come from the usual AWS variables."""
    s3_allow_http: bool = False
    """Allow an S3 endpoint without TLS."""


class BrokerSettings(Section):
    url: str = ""
    """Redis or Valkey URL; empty means an embedded Valkey on a socket in the home folder."""


class KeySettings(Section):
    folder: str = ""
    """Folder of the key ring files; empty means `keys` in the home folder."""
    provider: Literal["file", "environment", "pkcs11", "vault"] = "file"
    """What wraps the key rings: a passphrase, a secret given as a setting, an HSM, or the Transit engine of Vault."""
    passphrase: str = Field("", repr=False)
    """Provider `file`: wraps the key rings; without it file permissions alone protect them."""
    identity_passphrase: str = Field("", repr=False)
    """Provider `file`: a passphrase of its own for identity.json; empty means the same as objects.json has."""
    former_passphrase: str = Field("", repr=False)
    """Opens rings once more for `dxgate keys rotate --kek --from file`; empty means they had none."""
    objects_secret: str = Field("", repr=False)
    """Provider `environment`: 64 hexadecimal digits that wrap objects.json; earlier ones may follow after a comma."""
    identity_secret: str = Field("", repr=False)
    """Provider `environment`: the same for identity.json."""
    pkcs11_module: str = ""
    """Provider `pkcs11`: path of the HSM vendor's library."""
    pkcs11_token: str = ""
    """Provider `pkcs11`: label of the token."""
    pkcs11_pin: str = Field("", repr=False)
    """Provider `pkcs11`: PIN of the token's user."""
    pkcs11_identity_token: str = ""
    """Provider `pkcs11`: token of the key over identity.json, where it is another."""
    pkcs11_identity_pin: str = Field("", repr=False)
    """Provider `pkcs11`: PIN of that token."""
    vault_address: str = ""
    """Provider `vault`: https address of Vault or OpenBao."""
    vault_token: str = Field("", repr=False)
    """Provider `vault`: token; vault_token_file is better, because an agent can renew it."""
    vault_token_file: str = ""
    """Provider `vault`: file whose first line is the token, read for every call."""
    vault_namespace: str = ""
    """Provider `vault`: namespace, where the service has them."""
    vault_mount: str = "transit"
    """Provider `vault`: path at which the Transit engine is mounted."""
    vault_ca: str = ""
    """Provider `vault`: PEM certificates that sign Vault's; empty means those of the system."""
    objects_key: str = Field("dxgate-objects", pattern=_KEY_NAME)
    """Providers `pkcs11` and `vault`: name of the key over objects.json."""
    identity_key: str = Field("dxgate-identity", pattern=_KEY_NAME)
    """Providers `pkcs11` and `vault`: name of the key over identity.json; a worker's token needs no right to it."""
    timeout_seconds: float = Field(10.0, gt=0, le=120)
    """Providers `pkcs11` and `vault`: time that one call may take."""


class DicomSettings(Section):
    ae_title: str = Field("DXGATE", min_length=1, max_length=16)
    """Our AE title."""
    host: str = "127.0.0.1"
    """Address that the DICOM port listens on; set 0.0.0.0 to be reached from other machines."""
    port: int = Field(11112, ge=0, le=65535)
    """The DICOM port."""
    processes: int = Field(1, ge=1, le=64)
    """Server processes that share the port."""
    peers: Literal["any", "known"] = "any"
    """Who may send: any calling AE title, or only clients added by `dxgate client add dicom`."""
    check_called_ae: bool = False
    """Refuse associations that do not call our AE title."""
    max_pdu_bytes: int = Field(1 << 20, ge=16384, le=16 << 20)
    """Largest PDU accepted and advertised."""
    max_object_bytes: int = Field(1 << 30, ge=1 << 20)
    """Largest single object accepted; no larger than max_bytes_in_flight."""
    max_bytes_in_flight: int = Field(1 << 30, ge=1 << 20)
    """Memory that objects being received may take in one process before senders are told to wait."""
    max_associations: int = Field(400, ge=1, le=10000)
    """Associations open at one time in one process."""
    max_associations_per_peer: int = Field(100, ge=1, le=10000)
    """Associations open at one time from one address in one process."""
    idle_seconds: float = Field(120.0, gt=0)
    """Silence after which an association is closed."""
    tls_certificate: str = ""
    """PEM certificate chain; set together with tls_key to require TLS on the port."""
    tls_key: str = ""
    """PEM private key of the certificate."""
    tls_client_ca: str = ""
    """PEM certificates that sign client certificates; set it beside tls_certificate to require mutual TLS."""


class WebSettings(Section):
    host: str = "127.0.0.1"
    """Address that the FHIR endpoint and the console listen on."""
    port: int = Field(8080, ge=0, le=65535)
    """Port of the FHIR endpoint and the console."""
    base_url: str = ""
    """Address by which clients reach us, used in links; empty means http://host:port."""
    token_seconds: int = Field(3600, ge=60, le=86400)
    """Life of an access token."""
    session_seconds: int = Field(8 * 3600, ge=300, le=86400)
    """Life of a console session."""
    max_resource_bytes: int = Field(8 << 20, ge=1 << 16, le=32 << 20)
    """Largest body that the FHIR endpoint takes: a resource or a Bundle."""
    max_bundle_entries: int = Field(1000, ge=1, le=10_000)
    """Most entries of a batch or a transaction."""
    tls_certificate: str = ""
    """PEM certificate chain; set together with tls_key to serve HTTPS."""
    tls_key: str = ""
    """PEM private key of the certificate."""
    tls_client_ca: str = ""
    """PEM certificates that sign client certificates; clients may then prove who they are by theirs."""
    tls_client_required: bool = False
    """Refuse connections without a client certificate, those of browsers too."""
    tls_client_crl: str = ""
    """PEM revocation list of tls_client_ca, read at the start; without a current one no client certificate passes."""
    private_key_sets: bool = False
    """Let the key sets of clients (jwks_uri) lie at addresses inside the hospital."""
    key_set_ca: str = ""
    """PEM certificates that sign those of key set addresses; empty means those of the system."""
    local_sign_in: bool = True
    """Let people sign in with a password kept here; with false only through the identity provider of section oidc."""
    cross_origins: tuple[Annotated[str, Field(pattern=_ORIGIN)], ...] = Field((), max_length=50)
    """Origins of browser apps on other sites that may call FHIR and the token endpoint (CORS); empty means none."""
    client_rate: float = Field(1000.0, gt=0)
    """Requests per second that one FHIR client may keep up; as many as come in five seconds may come at once."""
    address_rate: float = Field(2000.0, gt=0)
    """The same for one network address, whoever asks."""


class OidcSettings(Section):
    issuer: str = ""
    """https address of an OpenID Connect provider, through which people sign in to the console; empty means none."""
    client_id: str = ""
    """What the provider calls us."""
    client_secret: str = Field("", repr=False)
    """Our secret with the provider; empty for a public client."""
    scopes: str = "openid profile"
    """Scopes asked of the provider."""
    name_claim: str = "preferred_username"
    """Claim of the ID token that becomes the person's name in the audit trail."""
    role_claim: str = "groups"
    """Claim of the ID token, a text or a list, that decides the role; dots lead into objects (realm_access.roles)."""
    role_map: tuple[str, ...] = ()
    """Pairs `value=role` in order; the first value that the claim holds gives the role, without one nobody comes in."""
    ca: str = ""
    """PEM certificates that sign the provider's; empty means those of the system."""


class StudySettings(Section):
    quiet_seconds: float = Field(20.0, gt=0)
    """A routine study with no new instance for this long counts as complete."""
    quiet_seconds_stat: float = Field(5.0, gt=0)
    """The same for a study whose Requested Procedure Priority is STAT or HIGH."""


class WorkerSettings(Section):
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`cuda` refuses to start without a GPU, `cpu` never uses one, `auto` takes a GPU where there is one."""
    device_number: int = Field(0, ge=0, le=63)
    """The GPU that this worker uses, as the driver counts them; one worker process serves one GPU."""
    device_memory_mib: int = Field(0, ge=0, le=1 << 24)
    """Device memory that the models may take together; 0 means nine tenths of the GPU, and no limit on a CPU."""
    processes: int = Field(1, ge=1, le=64)
    """Workers that `dxgate up` starts; with GPUs each takes the next one, from device_number on."""
    threads: int = Field(2, ge=1, le=64)
    """Tasks that one worker process holds at a time; a GPU is kept busy by 8 to 16 that decode for it."""
    batch_wait_ms: float = Field(5.0, ge=0, le=1000)
    """How long an image may wait for others to be run with it on a GPU or a server; one that is STAT never does."""
    decoders: int = Field(0, ge=0, le=64)
    """Processes that decode compressed pixels for one worker; 0 means one for each thread, but not more than cores."""
    decode_seconds: float = Field(30.0, ge=1, le=600)
    """Time that decoding one compressed frame may take."""
    max_tasks: int = Field(0, ge=0)
    """Tasks after which a worker ends, to be started anew, once it has finished what it holds; 0 means never.
    Its start takes seconds: a number that is reached in less than half a minute makes `dxgate up` pause."""
    max_memory_mib: int = Field(0, ge=0)
    """Resident memory after which a worker does the same; 0 means that it is not looked at."""
    lease_seconds: float = Field(45.0, ge=2)
    """A task whose worker is silent for this long is given to another."""
    timeout_seconds: float = Field(600.0, ge=5)
    """A task that runs longer is given up by its worker."""
    max_attempts: int = Field(10, ge=1, le=100)
    """Attempts after which a task counts as failed."""


class RemoteModelSettings(Section):
    pack: str = Field(min_length=1, max_length=128)
    """Name of the package whose graph runs on the server."""
    url: str
    """The model there, https://host/v2/models/NAME or .../versions/VERSION (KServe v2, Triton)."""
    bearer_token: str = Field("", repr=False)
    """Token sent to the server."""
    ca: str = ""
    """PEM certificates that sign the server's; empty means those of the system."""
    allow_http: bool = False
    """Allow an address without TLS that is not this machine's own."""
    timeout_seconds: float = Field(30.0, gt=0, le=600)
    """Time that one request may take."""
    attempts: int = Field(3, ge=1, le=10)
    """Requests that are made before the task is given back."""
    connections: int = Field(4, ge=1, le=64)
    """Requests that may be under way at a time."""


class ModelSettings(Section):
    folders: tuple[str, ...] = ()
    """Folders with model packages beside the built-in ones."""
    trusted_keys: str = ""
    """Folder of PEM public keys whose signatures are accepted beside the built-in one."""
    activate_signed: bool = True
    """Activate a verified package as soon as a worker announces it; otherwise it is a draft, as a third-party one is
    always and, with 2 approvals, every one."""
    approvals: int = Field(1, ge=1, le=2)
    """People who must want a version before it is active: with 2, the second `dxgate model promote` makes it so."""
    stop_override_rate: float = Field(0.0, ge=0, le=1)
    """Share of overruled results among a model's reviewed ones, in 30 days, from which on it is stopped; 0: never."""
    stop_after_reviews: int = Field(20, ge=1)
    """Reviews that there must be before that rule says anything."""
    stop_shift: float = Field(0.0, ge=0, le=100)
    """Population stability index of a model's probabilities, the last 30 days beside the 90 before, from which on it is
    stopped by itself; 0: never."""
    stop_disagreement_rate: float = Field(0.0, ge=0, le=1)
    """Share of a model's answers, in 30 days, that the final report received says otherwise, from which on it is
    stopped; 0: never."""
    stop_after_comparisons: int = Field(20, ge=1)
    """Compared answers that there must be before that rule says anything."""
    agreement_codes: str = ""
    """TOML file with the codes by which final reports answer the questions of the site's own models."""
    acceptance: Literal["advised", "required"] = "advised"
    """`required`: no version becomes active without a passed run of `dxgate model accept` for exactly its digest."""
    least_auc: float = Field(0.0, ge=0, le=1)
    """Area under the curve that an acceptance run has to reach; 0 asks nothing."""
    least_sensitivity: float = Field(0.0, ge=0, le=1)
    """The same for the sensitivity at the signed threshold."""
    least_specificity: float = Field(0.0, ge=0, le=1)
    """The same for the specificity."""
    least_subgroup: float = Field(0.0, ge=0, le=1)
    """What these have to reach in every subgroup that is large enough; 0: as much as in all cases."""
    most_refused: float = Field(1.0, ge=0, le=1)
    """Largest share of the cases that the model's guards may refuse."""
    least_cases: int = Field(30, ge=1, le=100_000)
    """Patients with cases of either label, without which an acceptance run passes nothing."""
    reload_seconds: float = Field(30.0, ge=0, le=86400)
    """Pause between two looks for new packages while a worker runs; 0 means that only its start looks."""
    remote: tuple[RemoteModelSettings, ...] = ()
    """Packages whose graph runs on an inference server; the worker prepares the images and checks the answers."""


class PixelSettings(Section):
    device_rules: str = ""
    """JSON file with the hospital's own rectangles of burned-in text by device, beside the built-in ones."""
    max_masked_share: float = Field(0.35, gt=0, le=1)
    """Share of a picture beyond which masks are not applied and a person has to look."""


class SweepSettings(Section):
    interval_seconds: float = Field(0.2, ge=0.05, le=60)
    """Pause between two looks for work that nobody is holding; fewer looks while nothing changes."""
    republish_seconds: float = Field(30.0, ge=1)
    """A task that was announced but not claimed for this long is announced again."""
    anchor_seconds: float = Field(60.0, ge=1)
    """Pause between two anchors of the audit trail."""


class PrivacySettings(Section):
    openings_per_hour: int = Field(3000, ge=1, le=100_000_000)
    """Patients whose identity one FHIR client or one person in the console may read in an hour."""
    reidentifications_per_hour: int = Field(20, ge=1, le=10_000)
    """Pseudonyms that one person may have led back to a patient in an hour."""


class SubscriptionSettings(Section):
    private_networks: tuple[str, ...] = ()
    """Private networks, as address/bits, that notifications may go to; loopback is one of them: 127.0.0.0/8."""
    allow_http: bool = False
    """Send notifications to http endpoints too; without it http is for loopback addresses alone."""
    timeout_seconds: float = Field(10.0, gt=0, le=120)
    """Time that one notification may take; a Subscription may ask for less."""
    retry_seconds: float = Field(5.0, gt=0, le=600)
    """First pause after a notification that failed; it doubles up to ten minutes."""
    keep_days: int = Field(30, ge=1, le=3650)
    """Days for which events that were told of can still be asked for by $events."""


class BulkSettings(Section):
    keep_hours: float = Field(24.0, gt=0, le=24 * 30)
    """Hours for which the files of a bulk job can be fetched once it is done."""
    import_hosts: tuple[str, ...] = ()
    """Hosts, as name or name:port, from which $import may fetch lines by https (http: loopback); none: uploads only."""
    max_input_bytes: int = Field(32 << 20, ge=1 << 16, le=256 << 20)
    """Largest input that $import fetches; an upload is bounded by web.max_resource_bytes."""


class DestinationSettings(Section):
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")
    """Name by which reports, the console and the audit call this destination."""
    kind: Literal["fhir", "folder"]
    """How it is reached: a FHIR server, or a folder for one JSON file per version."""
    url: str
    """Base address of the FHIR server, or path of the folder."""
    bearer_token: str = Field("", repr=False)
    """Token sent to the FHIR server."""
    username: str = ""
    """User name for HTTP Basic."""
    password: str = Field("", repr=False)
    """Password for HTTP Basic."""
    token_url: str = ""
    """OAuth 2.0 token endpoint; with client_id it replaces the token and the password (SMART Backend Services)."""
    client_id: str = ""
    """Our client id at the token endpoint."""
    client_secret: str = Field("", repr=False)
    """Our client secret there, where we have no private key."""
    private_key: str = ""
    """PEM file of our private key (EC P-384 or RSA) for private_key_jwt; the EHR knows its public half."""
    key_id: str = ""
    """The `kid` under which the EHR knows the public half."""
    scope: str = ""
    """Scopes to ask for, e.g. system/DiagnosticReport.cruds; empty asks for what the EHR gives."""
    tls_certificate: str = ""
    """PEM client certificate chain for mutual TLS; set together with tls_key."""
    tls_key: str = ""
    """PEM private key of the client certificate."""
    tls_ca: str = ""
    """PEM certificates that sign the EHR's; empty trusts those that the operating system trusts."""
    strategy: Literal["auto", "transaction", "dr-create", "dr-update-by-order", "docref-pdf", "pull"] = "auto"
    """How reports are put into the EHR; `auto` takes what its CapabilityStatement offers."""
    patient_system: str = ""
    """Identifier system by which the EHR knows patients, where it differs from the issuer in the images."""
    timeout_seconds: float = Field(20.0, gt=0, le=300)
    """Time that one request of an attempt may take."""
    retry_seconds: float = Field(5.0, gt=0)
    """First pause after a failed attempt; it doubles up to ten minutes."""


class Settings(Section):
    """All settings in force."""

    preset: Literal["embedded", "distributed"] = "embedded"
    """`embedded` needs nothing else; `distributed` expects database.url, broker.url and blobs.url to be set."""
    gateway: GatewaySettings = GatewaySettings()
    database: DatabaseSettings = DatabaseSettings()
    blobs: BlobSettings = BlobSettings()
    broker: BrokerSettings = BrokerSettings()
    keys: KeySettings = KeySettings()
    dicom: DicomSettings = DicomSettings()
    web: WebSettings = WebSettings()
    oidc: OidcSettings = OidcSettings()
    study: StudySettings = StudySettings()
    worker: WorkerSettings = WorkerSettings()
    models: ModelSettings = ModelSettings()
    pixels: PixelSettings = PixelSettings()
    sweep: SweepSettings = SweepSettings()
    privacy: PrivacySettings = PrivacySettings()
    subscriptions: SubscriptionSettings = SubscriptionSettings()
    bulk: BulkSettings = BulkSettings()
    destinations: tuple[DestinationSettings, ...] = ()
    """Where finished reports are sent."""

    @property
    def home(self) -> Path:
        return self.gateway.home.expanduser().absolute()

    @property
    def database_url(self) -> str:
        return self.database.url or f"sqlite:///{self.home / 'dxgate.sqlite'}"

    @property
    def blob_url(self) -> str:
        return self.blobs.url or str(self.home / "blobs")

    @property
    def key_folder(self) -> Path:
        return Path(self.keys.folder).expanduser() if self.keys.folder else self.home / "keys"

    @property
    def broker_socket(self) -> Path:
        """Socket of the embedded broker: in the home folder, or under /tmp where that path is too long for Unix."""
        beside = self.home / "broker" / "valkey.sock"
        if len(os.fsencode(beside)) <= _SOCKET_PATH_LIMIT:
            return beside
        short = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(f"/tmp/dxgate-{os.getuid()}-{short}/valkey.sock")  # noqa: S108 - its folder is checked to be ours

    @property
    def broker_url(self) -> str:
        return self.broker.url or f"redis+socket://{self.broker_socket}?virtual_host=0"

    @property
    def base_url(self) -> str:
        scheme = "https" if self.web.tls_certificate else "http"
        return (self.web.base_url or f"{scheme}://{self.web.host}:{self.web.port}").rstrip("/")

    @property
    def fhir_base_url(self) -> str:
        return f"{self.base_url}/fhir"


PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "embedded": {},
    "distributed": {
        "dicom": {"processes": 2, "peers": "known", "check_called_ae": True, "host": "0.0.0.0"},  # noqa: S104
        "web": {"host": "0.0.0.0"},  # noqa: S104
        "models": {"activate_signed": False},
    },
}
_REQUIRED_WHEN_DISTRIBUTED = ("database", "broker", "blobs")
_SECTIONS = {name: field.annotation for name, field in Settings.model_fields.items()}


@dataclass(frozen=True)
class LoadedSettings:
    """The settings with the origin of each value (`section.name` to `default`, `preset`, a file or a variable)."""

    settings: Settings
    origins: Mapping[str, str]


def load(environment: Mapping[str, str] | None = None, **overrides: Mapping[str, Any]) -> LoadedSettings:
    """Settings from file and environment; `overrides` (section=mapping) win over all and serve tests and flags."""
    variables = os.environ if environment is None else environment
    from_environment = _from_environment(variables)
    file = _file_path(variables, from_environment)
    from_file = _from_file(file)
    preset = str(from_environment.get("preset") or from_file.get("preset") or "embedded")
    if preset not in PRESETS:
        raise Invalid(f"preset must be embedded or distributed, not {preset!r}")
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    layers: list[tuple[str, Mapping[str, Any]]] = [
        ("preset " + preset, PRESETS[preset]),
        (str(file), from_file),
        ("environment", from_environment),
        ("command line", overrides),
    ]
    for origin, layer in layers:
        _merge(merged, origins, origin, layer)
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise Invalid(_explain(error, origins)) from None
    _check_complete(settings)
    _check_together(settings)
    _check_keys(settings.keys)
    _check_sign_in(settings)
    for destination in settings.destinations:
        _check_destination(destination)
    return LoadedSettings(settings, origins)


def _merge(merged: dict[str, Any], origins: dict[str, str], origin: str, layer: Mapping[str, Any]) -> None:
    for section, value in layer.items():
        if isinstance(value, Mapping):
            target = merged.setdefault(section, {})
            for name, single in value.items():
                target[name] = single
                origins[f"{section}.{name}"] = origin
        else:
            merged[section] = value
            origins[section] = origin


def _check_complete(settings: Settings) -> None:
    if settings.preset != "distributed":
        return
    for section in _REQUIRED_WHEN_DISTRIBUTED:
        if not getattr(settings, section).url:
            raise Invalid(f"the distributed preset needs {section}.url (DXGATE_{section.upper()}_URL)")


def _check_together(settings: Settings) -> None:
    """A half of a pair would otherwise be silently without effect, and a port open that was meant to be closed."""
    for section, tls in (("dicom", settings.dicom), ("web", settings.web)):
        if bool(tls.tls_certificate) != bool(tls.tls_key):
            raise Invalid(f"{section}.tls_certificate and {section}.tls_key are set together or not at all")
        if tls.tls_client_ca and not tls.tls_certificate:
            raise Invalid(f"{section}.tls_client_ca needs {section}.tls_certificate and {section}.tls_key")
    if (settings.web.tls_client_required or settings.web.tls_client_crl) and not settings.web.tls_client_ca:
        raise Invalid("web.tls_client_required and web.tls_client_crl need web.tls_client_ca")
    _check_acceptance(settings.models)
    if any(destination.name == RECORD for destination in settings.destinations):
        raise Invalid(f"{RECORD} is the name of the gateway's own store; call the destination something else")
    if settings.dicom.max_object_bytes > settings.dicom.max_bytes_in_flight:
        raise Invalid("dicom.max_object_bytes is above dicom.max_bytes_in_flight; such an object would never fit")


def _check_acceptance(models: ModelSettings) -> None:
    """Required with no limits, a run could pass by whatever somebody thinks up, or no run at all."""
    declared = models.least_auc or models.least_sensitivity or models.least_specificity
    if models.acceptance == "required" and not declared:
        raise Invalid("models.acceptance required needs models.least_auc, least_sensitivity or least_specificity")


def _check_sign_in(settings: Settings) -> None:
    """A provider that could let nobody in, or a console that nobody could enter, is a mistake."""
    oidc = settings.oidc
    if not oidc.issuer:
        if oidc.client_id or oidc.role_map:
            raise Invalid("oidc.client_id and oidc.role_map need oidc.issuer")
        if not settings.web.local_sign_in:
            raise Invalid("web.local_sign_in false needs oidc.issuer, or nobody could sign in")
        return
    if not oidc.issuer.startswith("https://"):
        raise Invalid("oidc.issuer begins with https://")
    if not oidc.client_id or not oidc.role_map:
        raise Invalid("oidc.issuer needs oidc.client_id and oidc.role_map")
    roles = {pair.rpartition("=")[2] for pair in oidc.role_map if pair.rpartition("=")[0]}
    if len(oidc.role_map) != sum(bool(pair.rpartition("=")[0]) for pair in oidc.role_map) or roles - set(
        get_args(Role)
    ):
        raise Invalid(f"oidc.role_map holds pairs value=role; a role is one of {', '.join(get_args(Role))}")


def _check_keys(keys: KeySettings) -> None:
    """What the provider needs, and what would be silently without effect."""
    needed = {
        "environment": ("objects_secret",),
        "pkcs11": ("pkcs11_module", "pkcs11_token", "pkcs11_pin"),
        "vault": ("vault_address",),
    }
    for name in needed.get(keys.provider, ()):
        if not getattr(keys, name):
            raise Invalid(f"keys.provider {keys.provider} needs keys.{name} (DXGATE_KEYS_{name.upper()})")
    if keys.provider == "vault" and bool(keys.vault_token) == bool(keys.vault_token_file):
        raise Invalid("keys.provider vault needs one of keys.vault_token and keys.vault_token_file")
    if keys.identity_passphrase and not keys.passphrase:
        raise Invalid("keys.identity_passphrase needs keys.passphrase, or objects.json would stay open")
    if bool(keys.pkcs11_identity_token) != bool(keys.pkcs11_identity_pin):
        raise Invalid("keys.pkcs11_identity_token and keys.pkcs11_identity_pin are set together or not at all")
    if keys.objects_key == keys.identity_key:
        raise Invalid("keys.objects_key and keys.identity_key must differ: a worker may use the first only")


def _check_destination(told: DestinationSettings) -> None:
    """One way of signing in, whole."""
    name = f"destination {told.name}"
    if bool(told.token_url) != bool(told.client_id):
        raise Invalid(f"{name}: token_url and client_id are set together or not at all")
    if bool(told.token_url) != bool(told.client_secret or told.private_key):
        raise Invalid(f"{name}: token_url needs one of client_secret and private_key, and they need it")
    if told.client_secret and told.private_key:
        raise Invalid(f"{name}: client_secret and private_key exclude each other")
    if sum(map(bool, (told.token_url, told.bearer_token, told.username))) > 1:
        raise Invalid(f"{name}: token_url, bearer_token and username exclude each other")
    if bool(told.tls_certificate) != bool(told.tls_key):
        raise Invalid(f"{name}: tls_certificate and tls_key are set together or not at all")
    if told.kind == "folder" and told.strategy != "auto":
        raise Invalid(f"{name}: a folder has no strategy")


def _file_path(variables: Mapping[str, str], from_environment: Mapping[str, Any]) -> Path:
    named = variables.get("DXGATE_CONFIG")
    if named:
        if not Path(named).is_file():
            raise Invalid(f"DXGATE_CONFIG names a file that does not exist: {named}")
        return Path(named)
    home = from_environment.get("gateway", {}).get("home") or GatewaySettings().home
    return Path(home).expanduser() / "dxgate.toml"


def _from_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not valid TOML: {error}") from None


def _from_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, text in variables.items():
        if not variable.startswith("DXGATE_") or variable == "DXGATE_CONFIG" or variable.startswith("DXGATE_TEST_"):
            continue
        key = variable.removeprefix("DXGATE_").lower()
        if key == "preset":
            found["preset"] = text
        elif key == "destinations":
            found["destinations"] = _json(variable, text)
        else:
            section, _, name = key.partition("_")
            if section not in _SECTIONS or not name:
                raise Invalid(f"unknown variable {variable}; `dxgate doctor --settings` lists the known ones")
            found.setdefault(section, {})[name] = _json(variable, text) if text.startswith("[") else text
    return found


def _json(variable: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Invalid(f"{variable} is not valid JSON: {error}") from None


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in problem["loc"])
        lines.append(f"{name}: {problem['msg']} (from {origins.get(name, 'configuration')})")
    return "settings are wrong: " + "; ".join(lines)
