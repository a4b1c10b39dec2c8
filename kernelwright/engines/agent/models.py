"""Talks to language models through pydantic-ai; the one file that knows it. It says, hears, retries and prices."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from kernelwright.core.conversation import Message
from kernelwright.core.errors import MachineError, UsageError, blame, first_line
from kernelwright.engines.agent.meter import Charge
from kernelwright.engines.agent.place import Place
from kernelwright.engines.agent.talk import NoReply, Reply

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.models import Model as Client
    from pydantic_ai.settings import ModelSettings

PROVIDERS = ("openai", "anthropic", "google", "bedrock")
NO_KEY = "none"  # what endpoints that want no key are sent
INSTALL = "pip install 'kernelwright[agent]'"


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens that go in, and that come out."""

    tokens_in: float
    tokens_out: float


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request that failed for a passing reason is sent again; waits double from the first to the longest.

    Where the provider says when to come back, that long.
    """

    attempts: int = 5
    first: float = 1.0
    longest: float = 30.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where models are asked. key: by provider, from the environment; secrets: what no text may ever hold.

    base_url: of an OpenAI-compatible server; "" for the provider's own.
    """

    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    base_url: str = ""
    price: Price | None = None
    reply_tokens: int = 16_000
    retries: Retries = Retries()


def connect(named: str, endpoint: Endpoint, variables: Mapping[str, Sequence[str]]) -> Talker:
    """The model that `provider:name` names. `variables`: which ones hold the key of each provider, for messages."""
    provider, _, model = named.partition(":")
    if provider not in PROVIDERS or not model:
        known = ", ".join(f"{each}:NAME" for each in PROVIDERS)
        raise UsageError(
            f"model {named!r} is not known; known: {known}; "
            "any OpenAI-compatible server: openai:NAME with --base-url URL"
        )
    if endpoint.base_url and provider != "openai":
        raise UsageError(f"--base-url is for OpenAI-compatible servers: name the model openai:{model}, not {named!r}")
    if not endpoint.keys.get(provider) and not endpoint.base_url and provider != "bedrock":
        raise UsageError(f"model {named!r} needs a key; set {' or '.join(variables[provider])} in the environment")
    with blame(UsageError, f"model {named!r} cannot be used"):
        return Talker(named, endpoint, _client(provider, model, endpoint))


def priced(named: str, price: Price | None) -> bool:
    """Whether replies of this model can be priced."""
    return _cost(named, price, 1, 0, 1) is not None


@dataclass(frozen=True, slots=True)
class Talker:
    """A `talk.Model` on the network. Bound to one event loop by its first request."""

    name: str
    _endpoint: Endpoint = field(repr=False)
    _client: Client = field(repr=False)

    def most(self, messages: Sequence[Message]) -> Charge:
        """No tokenizer makes more tokens than there are bytes."""
        tokens_in, tokens_out = sum(_bytes(message.text) for message in messages), self._endpoint.reply_tokens
        return Charge(tokens_in + tokens_out, self._cost(tokens_in, 0, tokens_out) or 0.0)

    async def reply(self, place: Place, messages: Sequence[Message], seconds: float) -> Reply:
        """Passing failures (429, time-outs, 5xx, replies that are no reply) are retried with back-off."""
        from pydantic_ai.exceptions import AgentRunError, UserError

        started = time.monotonic()
        try:
            response = await _retrying(self._endpoint.retries, seconds)(self._request, messages, seconds)
        except (AgentRunError, UserError) as error:
            raise self._no_reply(error) from None
        return self._heard(messages, response, time.monotonic() - started)

    async def _request(self, messages: Sequence[Message], seconds: float) -> ModelResponse:
        from pydantic_ai.direct import model_request
        from pydantic_ai.messages import CachePoint

        settings: ModelSettings = {
            "max_tokens": self._endpoint.reply_tokens,
            "request_timeout": seconds,
            "max_retries": 0,
        }
        marks = (
            () if self._endpoint.base_url else (CachePoint(),)
        )  # other servers want plain texts, and turns that alternate
        return await model_request(self._client, _as_sent(messages, marks), model_settings=settings)

    def _heard(self, messages: Sequence[Message], response: ModelResponse, seconds: float) -> Reply:
        text = redacted("".join(_texts(response)), self._endpoint.secrets)
        usage = response.usage
        tokens_in = usage.input_tokens or sum(_bytes(message.text) for message in messages)
        tokens_out = usage.output_tokens or _bytes(text)  # an endpoint that counts nothing: a token a byte
        cost = self._cost(tokens_in, usage.cache_read_tokens, tokens_out)
        return Reply(text, tokens_in, usage.cache_read_tokens, tokens_out, cost, seconds)

    def _cost(self, tokens_in: int, cached: int, tokens_out: int) -> float | None:
        return _cost(self.name, self._endpoint.price, tokens_in, cached, tokens_out)

    def _no_reply(self, error: Exception) -> NoReply:
        from pydantic_ai.exceptions import ModelAuthenticationError, ModelConnectionError, ModelNotFoundError

        at = self._endpoint.base_url or "its provider"
        said = redacted(first_line(error), self._endpoint.secrets)
        match error:
            case ModelAuthenticationError():
                return NoReply(f"{self.name}: {at} refuses the key: {said}", mistake=True)
            case ModelNotFoundError():
                return NoReply(f"{self.name}: {at} does not know this model: {said}", mistake=True)
            case ModelConnectionError():
                return NoReply(f"{self.name}: {at} does not answer ({said}); is it running, and is the network there?")
            case _:
                return NoReply(f"{self.name}: {at} gave no reply: {said}")


def _client(provider: str, model: str, endpoint: Endpoint) -> Client:
    try:
        from pydantic_ai.models import infer_model
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider
    except ImportError as error:
        raise MachineError(f"engine 'agent' needs pydantic-ai ({error}); {INSTALL}") from error
    if endpoint.base_url:
        served = OpenAIProvider(base_url=endpoint.base_url, api_key=endpoint.keys.get("openai") or NO_KEY)
        return OpenAIChatModel(model, provider=served)
    return infer_model(f"{provider}:{model}", lambda name: _provider(name, endpoint.keys.get(provider, "")))


def _provider(name: str, key: str) -> Any:
    from pydantic_ai.providers import infer_provider_class

    known: Any = infer_provider_class(name)
    return known(api_key=key) if key else known()


def _as_sent(messages: Sequence[Message], marks: Sequence[Any]) -> list[ModelMessage]:
    """Where one user message follows another, the first is the same in every round: marked as worth caching."""
    from pydantic_ai.messages import ModelRequest, ModelResponse, SystemPromptPart, TextPart, UserPromptPart

    sent: list[ModelMessage] = []
    for role, group in groupby(messages, key=lambda message: message.role):
        texts = [message.text for message in group]
        match role:
            case "system":
                sent.append(ModelRequest([SystemPromptPart(text) for text in texts]))
            case "assistant":
                sent.append(ModelResponse([TextPart(text) for text in texts]))
            case "user" if marks and len(texts) > 1:
                sent.append(ModelRequest([UserPromptPart([texts[0], *marks, *texts[1:]])]))
            case _:
                sent.append(ModelRequest([UserPromptPart("\n\n".join(texts))]))
    return sent


def _texts(response: ModelResponse) -> list[str]:
    from pydantic_ai.messages import TextPart

    return [part.content for part in response.parts if isinstance(part, TextPart)]


def _retrying(retries: Retries, seconds: float) -> Any:
    import tenacity

    backoff = tenacity.wait_exponential_jitter(initial=retries.first, max=retries.longest, jitter=retries.first)

    def wait(state: tenacity.RetryCallState) -> float:
        raised = state.outcome.exception() if state.outcome else None
        asked: float | None = getattr(raised, "retry_after", None)
        return backoff(state) if asked is None else asked

    return tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(retries.attempts) | tenacity.stop_before_delay(seconds),
        wait=wait,
        retry=tenacity.retry_if_exception(_is_passing),
        reraise=True,
    )


def _is_passing(error: BaseException) -> bool:
    """Whether the same request may be answered later: all but what says that it will not."""
    from pydantic_ai import exceptions

    lasting = (
        exceptions.ModelRequestRejectedError,  # also a wrong key, an unknown model, a prompt that is too long
        exceptions.ModelQuotaExceededError,
        exceptions.ContentFilterError,
        exceptions.ModelRequestTimeout,  # the time for this reply is over
    )
    return isinstance(error, exceptions.AgentRunError) and not isinstance(error, lasting)


def _cost(named: str, price: Price | None, tokens_in: int, cached: int, tokens_out: int) -> float | None:
    """US dollars; None where neither the user nor genai-prices knows the model."""
    if price:
        return (tokens_in * price.tokens_in + tokens_out * price.tokens_out) / 1e6
    from genai_prices import Usage, calc_price

    provider, _, model = named.partition(":")
    usage = Usage(input_tokens=tokens_in, cache_read_tokens=cached, output_tokens=tokens_out)
    try:
        return float(calc_price(usage, model, provider_id={"bedrock": "aws"}.get(provider, provider)).total_price)
    except LookupError:
        return None


def redacted(text: str, secrets: Sequence[str]) -> str:
    """The text without any secret that an endpoint may have sent back."""
    for secret in secrets:
        text = text.replace(secret, "[key]")
    return text


def _bytes(text: str) -> int:
    return len(text.encode())
