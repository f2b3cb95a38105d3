"""Real senders against the DICOM listener: pynetdicom, and DCMTK where it is installed, in the clear and by TLS."""

from __future__ import annotations

import datetime
import os
import shutil
import ssl
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from harness.send import rejection
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role
from pynetdicom.dsutils import decode
from wire.dicom.scripted_peer import CT_IMAGE, VERIFICATION

from gateway.domain.errors import Forbidden, Invalid
from gateway.servers.dicom.policy import CALLING_AE_NOT_RECOGNISED, Ending
from gateway.servers.dicom.settings import ListenerSettings, Timeouts
from gateway.servers.tls_context import tls_context

SECONDS = 60
LOOPBACK = "127.0.0.1"
# samples in syntaxes that no codec need read: they are stored as they come
SAMPLES = [
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "JPEG2000.dcm",
    "JPEG-lossy.dcm",
    "MR_small_RLE.dcm",
    "image_dfl.dcm",
]


def sample(name: str) -> Path:
    return Path(str(get_testdata_file(name)))


def client(*contexts: tuple[str, str]) -> AE:
    ae = AE(ae_title="PYNETDICOM")
    for abstract, syntax in contexts:
        ae.add_requested_context(abstract, syntax)
    return ae


def test_pynetdicom_verifies_and_stores(listen, house):
    """pynetdicom gets success for C-ECHO and C-STORE, and the handler the data set that was sent."""
    dataset = dcmread(sample("CT_small.dcm"))
    listener = listen()
    ae = client((CT_IMAGE, ExplicitVRLittleEndian), (VERIFICATION, ImplicitVRLittleEndian))
    association = ae.associate(LOOPBACK, listener.port)
    assert association.is_established
    assert association.send_c_echo().Status == 0
    assert association.send_c_store(dataset).Status == 0
    association.release()
    (request,) = house.stored
    assert decode(BytesIO(request.dataset), False, True).PixelData == dataset.PixelData
    assert request.sop_instance_uid == dataset.SOPInstanceUID
    assert house.ending() is Ending.RELEASED


def test_pynetdicom_is_shown_refusals(listen, house):
    """pynetdicom sees the policy's rejection, and the status and comment of a refused object."""
    dataset = dcmread(sample("CT_small.dcm"))
    listener = listen()

    def refuse(request):
        raise Forbidden("this sender may not store")

    house.on_store = refuse
    ae = client((CT_IMAGE, ExplicitVRLittleEndian))
    association = ae.associate(LOOPBACK, listener.port)
    answer = association.send_c_store(dataset)
    assert (answer.Status, answer.ErrorComment) == (0x0124, "this sender may not store")
    association.release()
    house.rejection = CALLING_AE_NOT_RECOGNISED
    assert rejection(ae, listener.port)


def test_pynetdicom_negotiates_roles(listen):
    """pynetdicom proposing both roles is left with the user's."""
    listener = listen()
    association = client((CT_IMAGE, ExplicitVRLittleEndian)).associate(
        LOOPBACK, listener.port, ext_neg=[build_role(CT_IMAGE, scu_role=True, scp_role=True)]
    )
    (context,) = association.accepted_contexts
    assert (context.as_scu, context.as_scp) == (True, False)
    association.release()


def test_pynetdicom_negotiates_every_context(listen):
    """An association with 128 storage contexts is accepted whole."""
    listener = listen()
    ae = client(*((f"1.2.840.10008.5.1.4.1.1.{1000 + i}", ImplicitVRLittleEndian) for i in range(128)))
    association = ae.associate(LOOPBACK, listener.port)
    assert len(association.accepted_contexts) == 128
    association.release()


def dcmtk(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a DCMTK program as a hospital has it: without TCP_NODELAY."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    return subprocess.run(
        [path, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.peer("dcmtk")
def test_echoscu_succeeds(listen, house):
    """DCMTK's echoscu is answered, repeatedly, and releases."""
    done = dcmtk("echoscu", "--repeat", 3, LOOPBACK, listen().port)
    assert done.returncode == 0, done.stderr
    assert house.ending() is Ending.RELEASED


@pytest.mark.peer("dcmtk")
@pytest.mark.parametrize("name", SAMPLES)
def test_dcmsend_stores_as_it_came(listen, house, name):
    """DCMTK's dcmsend stores each sample in the syntax of its file, every element and pixel as sent."""
    path = sample(name)
    done = dcmtk("dcmsend", "-dn", LOOPBACK, listen().port, path)
    assert done.returncode == 0, done.stderr
    (request,) = house.stored
    sent = dcmread(path)
    syntax = sent.file_meta.TransferSyntaxUID
    if syntax.is_implicit_VR:  # dcmsend itself turns this into what it proposes first
        syntax = ExplicitVRLittleEndian
    assert (request.transfer_syntax_uid, request.sop_instance_uid) == (syntax, sent.SOPInstanceUID)
    received = decode(BytesIO(request.dataset), syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    assert received.PixelData == sent.PixelData
    meaningful = {element.tag for element in sent if element.tag.element and element.tag.group != 0xFFFC}
    assert meaningful <= {element.tag for element in received}


@pytest.mark.peer("dcmtk")
def test_storescu_sends_many(listen, house, tmp_path):
    """DCMTK's storescu, untuned, sends a folder over one association, every object answered with success."""
    dataset = dcmread(sample("CT_small.dcm"))
    for index in range(30):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{index}"
        dataset.save_as(tmp_path / f"{index}.dcm")
    done = dcmtk("storescu", "+sd", LOOPBACK, listen().port, tmp_path)
    assert done.returncode == 0, done.stderr
    assert {request.sop_instance_uid for request in house.stored} == {f"1.2.3.{i}" for i in range(30)}
    assert len(house.opened_infos) == 1


@pytest.mark.peer("dcmtk")
def test_storescu_shows_identity(listen, house):
    """DCMTK's user name and passcode reach the policy, and the positive response satisfies it."""
    done = dcmtk("storescu", "-usr", "alice", "-pwd", "secret", "-rsp", LOOPBACK, listen().port, sample("CT_small.dcm"))
    assert done.returncode == 0, done.stderr
    (proposal,) = house.proposals
    assert proposal.user_identity == "alice"
    assert proposal.credentials.secondary == b"secret"


class Authority:
    """A throw-away CA that issues certificates as PEM files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = rsa.generate_private_key(65537, 2048)
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        self.certificate = folder / "ca.pem"
        self._write(self.certificate, self._sign(self._name, self._key, authority=True))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Certificate and key files for one common name."""
        key = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate_path, key_path = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        self._write(certificate_path, self._sign(subject, key, authority=False))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        key_path.write_bytes(pem)
        return certificate_path, key_path

    def _sign(self, subject: x509.Name, key: rsa.RSAPrivateKey, *, authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @staticmethod
    def _write(path: Path, certificate: x509.Certificate) -> None:
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def tls_listener(listen, authority):
    context = tls_context(*authority.issue("gateway"), authority.certificate, True)
    return listen(ListenerSettings(port=0, tls=context))


@pytest.mark.peer("dcmtk")
@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_dcmtk_stores_by_mutual_tls(tls_listener, house, authority, profile):
    """DCMTK's BCP 195 profiles store by mutual TLS, and the certificate's subject is known."""
    certificate, key = authority.issue("modality")
    trust = ("+cf", authority.certificate)
    done = dcmtk(
        "storescu", "+tls", key, certificate, *trust, profile, LOOPBACK, tls_listener.port, sample("CT_small.dcm")
    )
    assert done.returncode == 0, done.stderr
    assert [info.tls_subject for info in house.opened_infos] == ["commonName=modality"]
    assert len(house.stored) == 1


@pytest.mark.peer("dcmtk")
def test_dcmtk_without_a_certificate_is_refused(tls_listener, house, authority):
    """A TLS peer without a certificate, one of an old profile and one in the clear never reach the policy."""
    certificate, key = authority.issue("modality")
    trust, address = ("+cf", authority.certificate), (LOOPBACK, tls_listener.port)
    assert dcmtk("echoscu", "+tla", *trust, *address).returncode != 0
    assert dcmtk("echoscu", "+tls", key, certificate, *trust, "+pa", *address).returncode != 0
    assert dcmtk("echoscu", *address).returncode != 0
    assert house.proposals == []


def test_silent_tls_peer_does_not_block_others(listen, house, authority, connect):
    """A TCP connection that never begins its handshake leaves the listener open to the next peer."""
    listener = listen(ListenerSettings(port=0, tls=tls_context(*authority.issue("gateway"), None, False)))
    silent = connect(listener)
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.check_hostname = False
    association = client((VERIFICATION, ImplicitVRLittleEndian)).associate(
        LOOPBACK, listener.port, tls_args=(context, "gateway")
    )
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()
    silent.close()


def test_silent_tls_peer_is_cut_by_artim(listen, authority, connect):
    """A peer that never makes its TLS handshake is closed when ARTIM has passed."""
    context = tls_context(*authority.issue("gateway"), None, False)
    listener = listen(ListenerSettings(port=0, tls=context, timeouts=Timeouts(artim=0.2, linger=0.2)))
    peer = connect(listener)
    assert len(peer.receive(100)) < 100  # at most a TLS alert, then the end


def test_idle_tls_association_is_aborted(listen, authority, house):
    """Over TLS too, an idle association is aborted when the idle time has passed."""
    context = tls_context(*authority.issue("gateway"), None, False)
    listener = listen(ListenerSettings(port=0, tls=context, timeouts=Timeouts(idle=0.2, linger=0.2)))
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    trusting.check_hostname = False
    association = client((VERIFICATION, ImplicitVRLittleEndian)).associate(
        LOOPBACK, listener.port, tls_args=(trusting, "gateway")
    )
    assert association.is_established
    assert house.ending() is Ending.TIMEOUT


def test_a_required_certificate_needs_an_authority(authority):
    """A context that requires client certificates without a CA to check them is refused."""
    with pytest.raises(Invalid):
        tls_context(*authority.issue("gateway"), None, True)
