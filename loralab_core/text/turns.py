"""One turn of a conversation, as data; apart, so that reading corpora does not bring in the template engine."""

from typing import Any

Message = dict[str, Any]
