"""Units of unfinished speech: who may ask for them, and where they are counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.bundle import BUNDLES, Bundle, find_bundle
from model.encoders import EarlyEncoder
from model.encoders.s3.stage import S3Stage
from server.settings import Settings
from server.state.loading import _commit_early, _preflight
from streaming.errors import BundleError
from streaming.stability import EarlyCounts
from tests.released.speech_tokenizer import random_network
from tests.server.front import serving
from tests.server.models import fake_model


def test_an_encoder_without_a_rule_for_it_is_refused_by_name() -> None:
    with pytest.raises(
        BundleError, match=r"early_units is 'commit', but cslm-mini does not support it: its encoder"
    ) as caught:
        _preflight(find_bundle("cslm-mini"), "transformers", Settings(early_units="commit"))
    assert (caught.value.code, caught.value.param) == ("unsupported_setting", "early_units")


def test_nothing_is_looked_at_unless_it_is_asked_for(tmp_path: Path) -> None:
    bundle = Bundle(BUNDLES / "cslm-8b")
    stage = S3Stage(random_network())
    assert isinstance(stage, EarlyEncoder)
    assert _commit_early(stage, bundle, Settings()) is None
    counts = _commit_early(stage, bundle, Settings(early_units="watch"))
    assert counts is stage.early_counts
    stage.close()


async def test_counts_are_shown_where_there_are_any() -> None:
    async with serving() as front:
        assert "cslm_early" not in (await front.client.get("/metrics")).text
    counts = EarlyCounts(partial_passes=7, refused=2, committed=40, committed_wrong=3, watched=5, wrong_of_late=0.25)
    async with serving(fake_model(early=counts)) as front:
        await front.client.get("/metrics")
        for labels, value in (
            ({"use": "committed", "outcome": "kept"}, 37),
            ({"use": "committed", "outcome": "contradicted"}, 3),
            ({"use": "watched", "outcome": "kept"}, 5),
        ):
            assert front.count("cslm_early_frames_total", **labels) == value
        assert front.count("cslm_early_looks_total", outcome="refused") == 2
        assert front.count("cslm_early_wrong_share") == 0.25
        counts.partial_passes += 1
        assert front.count("cslm_early_looks_total", outcome="done") == 8
