"""Tests of the code senders."""
