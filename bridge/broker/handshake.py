"""What a CONNECT must be before its client is let in (MQTT 3.1.1 §3.1)."""

from __future__ import annotations

from bridge.broker.codec.events import Connect
from bridge.broker.codec.reasons import ConnectCode, RefusedConnect
from bridge.broker.limits import DoorLimits
from bridge.broker.state import ClientCertificate
from bridge.domain.access import Identity, may_publish


def check_connect(connect: Connect, certificate: ClientCertificate | None) -> None:
    """Check what can be said before the credentials are.

    Raises:
        RefusedConnect: if the client is not to be asked further.
    """
    if not connect.client_id and not connect.clean_session:
        raise RefusedConnect(ConnectCode.IDENTIFIER_REJECTED, "an empty client id needs a clean session (3.1.3-8)")
    if certificate is not None and connect.username not in (None, certificate.device):
        raise RefusedConnect(ConnectCode.NOT_AUTHORIZED, f"the username is not {certificate.device}, as the certificate says")


def check_will(connect: Connect, identity: Identity, limits: DoorLimits) -> None:
    """Check that the client may publish its will, and that a PUBLISH could be as long.

    Raises:
        RefusedConnect: if it may not.
    """
    will = connect.will
    if will is None:
        return
    if not (answer := may_publish(identity, will.topic)[0]).allowed:
        raise RefusedConnect(ConnectCode.NOT_AUTHORIZED, f"the will's topic is not allowed: {answer.rule}")
    topic_bytes = len(will.topic.encode())
    if topic_bytes > limits.topic_bytes_max or will.topic.count("/") >= limits.topic_levels_max:
        raise RefusedConnect(ConnectCode.NOT_AUTHORIZED, "the will's topic is too long (broker.topic_bytes_max, broker.topic_levels_max)")
    if topic_bytes + len(will.payload) > limits.packet_bytes_max:
        raise RefusedConnect(ConnectCode.NOT_AUTHORIZED, "the will is too long (broker.packet_bytes_max)")
