"""Agents: some state behind a server, read and changed by functions (Elixir's ``Agent``)."""

from __future__ import annotations

from ._agent import Agent, AgentRef, agent_spec, open_agent

__all__ = [
    "Agent",
    "AgentRef",
    "agent_spec",
    "open_agent",
]
