"""Who is let in: the presented key, its rate, and how often an address may guess."""

from collections import OrderedDict
from collections.abc import Callable

from inventory_api.domain.principal import Principal
from inventory_api.keyring import Keyring
from inventory_api.web.problem_kinds import HTTPCode
from inventory_api.web.problems import Problem, retry_after, unauthorized

# Addresses whose failures are remembered; the oldest are forgotten, so that memory is bounded.
ADDRESSES_MAX = 10_000
MINUTE_S = 60.0


class Bucket:
    """A token bucket: `rate` tokens per second, at most `size` saved up."""

    __slots__ = ("_at", "_rate", "_size", "_tokens")

    def __init__(self, *, rate: float, size: float, now_s: float) -> None:
        self._rate, self._size = rate, size
        self._tokens, self._at = size, now_s

    def fill(self, now_s: float) -> float:
        """The tokens that are there now."""
        self._tokens = min(self._size, self._tokens + (now_s - self._at) * self._rate)
        self._at = now_s
        return self._tokens

    def take(self, now_s: float) -> bool:
        """Use one token, if there is one."""
        if self.fill(now_s) < 1:
            return False
        self._tokens -= 1
        return True


class Authenticator:
    """Turns a credential into a principal.

    Args:
        timer: monotonic seconds.
        requests_per_s: allowed for each key; 0 is no limit.
        failures_per_minute: allowed for each client address.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        timer: Callable[[], float],
        requests_per_s: int,
        failures_per_minute: int,
    ) -> None:
        self._keyring = keyring
        self._timer = timer
        self._requests_per_s = requests_per_s
        self._failures_per_minute = failures_per_minute
        self._failures: OrderedDict[str, Bucket] = OrderedDict()
        self._rates: dict[str, Bucket] = {}

    def __call__(self, credential: bytes | None, address: str) -> Principal:
        """The owner of a credential, or whoever acts without one.

        Raises:
            Problem: unauthorized, or rate_limited.
        """
        principal = self._known(credential, address)
        if self._requests_per_s:
            self._count(principal)
        return principal

    def owner(self, credential: bytes | None) -> Principal | None:
        """Who acts with a credential, or without one; asking counts nowhere."""
        if credential is None:
            return self._keyring.anonymous
        return self._keyring.principal(credential.decode("latin-1"))

    def _known(self, credential: bytes | None, address: str) -> Principal:
        principal = self.owner(credential)
        if principal is None:
            if credential is not None:
                self._fail(address, self._timer())
            raise unauthorized()
        return principal

    def _fail(self, address: str, now_s: float) -> None:
        allowed = self._failures_per_minute
        if address not in self._failures:
            if len(self._failures) >= ADDRESSES_MAX:
                self._failures.popitem(last=False)
            self._failures[address] = Bucket(rate=allowed / MINUTE_S, size=allowed, now_s=now_s)
        # Good keys are let in all the same: behind one proxy all callers have one address.
        if not self._failures[address].take(now_s):
            raise Problem(HTTPCode.RATE_LIMITED, headers=[retry_after(int(MINUTE_S))])

    def _count(self, principal: Principal) -> None:
        rate, now_s = self._requests_per_s, self._timer()
        bucket = self._rates.get(principal.id)
        if bucket is None:
            bucket = self._rates[principal.id] = Bucket(rate=rate, size=rate, now_s=now_s)
        if not bucket.take(now_s):
            policy = (b"ratelimit-policy", f'"key";q={rate};w=1'.encode())
            limit = (b"ratelimit", b'"key";r=0;t=1')
            raise Problem(HTTPCode.RATE_LIMITED, headers=[retry_after(1), policy, limit])
