"""What the resolver answers. No sockets: a query's bytes in, an answer's bytes out.

Message format: RFC 1035; library: dnspython.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import IPv4Address, IPv6Address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from arcbed_cloud import hosts

#: Seconds that an answer may be kept: short, so that a moved control plane is found again.
TTL = 5
Address = IPv4Address | IPv6Address
Forward = Callable[[bytes], Awaitable[bytes]]
_TYPES = {dns.rdatatype.A: IPv4Address, dns.rdatatype.AAAA: IPv6Address}


class Resolver:
    """Answers for Azure's names.

    Args:
        addresses: of the control plane.
        records: further names (lower case) with addresses of their own, such as a proxy.
        forward: asks another resolver about all other names; None says that they do not exist.
    """

    def __init__(
        self,
        addresses: tuple[Address, ...],
        *,
        records: Mapping[str, tuple[Address, ...]] | None = None,
        forward: Forward | None = None,
    ) -> None:
        self._addresses = addresses
        self._records = dict(records or {})
        self._forward = forward

    async def answer(self, data: bytes) -> bytes | None:
        """The answer to one query; None for what is no query at all and is best left unanswered."""
        try:
            query = dns.message.from_wire(data)
        except (dns.exception.DNSException, ValueError):
            return _malformed(data)
        if query.flags & dns.flags.QR:
            return None
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            return _refused(query, dns.rcode.NOTIMP)
        return await self._resolve(query, data)

    async def _resolve(self, query: dns.message.Message, data: bytes) -> bytes:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        addresses = self._records.get(name) or (self._addresses if hosts.service_of(name) else None)
        if addresses is None:
            if self._forward is None:
                return _refused(query, dns.rcode.NXDOMAIN)
            try:
                return await self._forward(data)
            except OSError:
                return _refused(query, dns.rcode.SERVFAIL)
        response = dns.message.make_response(query, recursion_available=True)
        response.flags |= dns.flags.AA
        family = _TYPES.get(question.rdtype)
        found = [str(address) for address in addresses if family is not None and isinstance(address, family)]
        if found and question.rdclass == dns.rdataclass.IN:
            response.answer.append(dns.rrset.from_text_list(question.name, TTL, "IN", question.rdtype, found))
        return response.to_wire()


def _refused(query: dns.message.Message, code: dns.rcode.Rcode) -> bytes:
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(code)
    return response.to_wire()


def _malformed(data: bytes) -> bytes | None:
    """FORMERR under the query's own id; nothing for a scrap without a header, or for an answer."""
    if len(data) < 12 or data[2] & 0x80:
        return None
    response = dns.message.Message(id=int.from_bytes(data[:2]))
    response.flags |= dns.flags.QR
    response.set_rcode(dns.rcode.FORMERR)
    return response.to_wire()
