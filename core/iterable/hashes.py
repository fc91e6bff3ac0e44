"""The hashes of forgotten people in an answer that is too long to be read at once.

`GET /api/users/forgotten` and `forgottenUserIds` answer `{"hashedEmails": [...]}` (`hashedUserIds`): SHA-256 in
hexadecimal. A project with five million forgotten people sends 335 MB.
"""

import re

_DIGEST = re.compile(rb'"([0-9a-fA-F]{64})"')
#: Bytes of a digest.
DIGEST_SIZE = 32
# Bytes of an answer that are kept to find out what it is, if it has no hashes.
KEPT = 64 * 1024


class HashReader:
    """Reads the array of a field from chunks of an answer."""

    def __init__(self, field: str) -> None:
        """Read the array `field`."""
        self._opening = re.compile(rb'"' + field.encode() + rb'"\s*:\s*\[')
        self._rest = b""
        self._is_open = self._is_closed = False
        #: The beginning of the answer.
        self.beginning = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next chunk, and return the digests that it completes, one after the other (32 bytes each)."""
        if len(self.beginning) < KEPT:
            self.beginning += chunk[:KEPT]
        self._rest += chunk
        if not self._is_open:
            opening = self._opening.search(self._rest)
            if opening is None:
                self._rest = self._rest[-KEPT:]
                return b""
            self._is_open = True
            self._rest = self._rest[opening.end() :]
        if self._is_closed:
            self._rest = self._rest[-KEPT:]
            return b""
        end = self._rest.find(b"]")
        if end >= 0:
            self._is_closed = True
        else:
            end = self._rest.rfind(b",") + 1
        values, self._rest = self._rest[:end], self._rest[end:]
        return bytes.fromhex(b"".join(_DIGEST.findall(values)).decode("ascii"))

    @property
    def is_complete(self) -> bool:
        """Whether the array and the object around it have ended."""
        return self._is_closed and self._rest.rstrip().endswith(b"}")
