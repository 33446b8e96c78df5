"""What the vocoder learns from: units as they will be written, and what Mandarin finals share with each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from model.training import vocoder_train
from model.training.g2p import INVENTORY, UNIT_ID, is_tone_unit, to_ids
from model.training.vocoder_speech import as_written
from model.vocoders.source_filter.decoder import SourceFilterVocoder

CONFIG = vocoder_train.CONFIG


def vectors(model: torch.nn.ModuleDict) -> torch.Tensor:
    """The vectors of all units, [n_units, width]."""
    table = model["units"].embed.weight + vocoder_train.kinship() @ model["kin"].weight  # type: ignore[union-attr]
    return table.detach()


def test_a_final_shares_its_sound_and_its_tone() -> None:
    kin = vocoder_train.kinship()
    assert kin[UNIT_ID["ang1"]] @ kin[UNIT_ID["ang3"]] == 1, "the sound"
    assert kin[UNIT_ID["ang3"]] @ kin[UNIT_ID["i3"]] == 1, "the tone"
    assert kin[UNIT_ID["ang1"]] @ kin[UNIT_ID["i3"]] == 0
    shares = torch.tensor([2.0 if is_tone_unit(name) else 0.0 for name in INVENTORY])
    assert torch.equal(kin.sum(1), shares)


def test_a_final_never_said_in_a_tone_is_what_it_shares() -> None:
    model = vocoder_train.acoustic_model()
    table = vectors(model)
    between = table[UNIT_ID["ang1"]] - table[UNIT_ID["ang3"]]
    assert torch.allclose(between, table[UNIT_ID["i1"]] - table[UNIT_ID["i3"]], atol=1e-5)


def test_an_exported_vocoder_is_taken_apart_as_it_was(tmp_path: Path) -> None:
    first = vocoder_train.acoustic_model()
    generator = vocoder_train.Generator(CONFIG)
    generator.mel_mean.zero_()
    generator.mel_scale.fill_(1.0)
    both = torch.nn.ModuleDict({"acoustic": first, "generator": generator})
    with torch.no_grad():
        first["voices"].weight.zero_()
        first["units"].embed.weight += torch.randn_like(first["units"].embed.weight)  # type: ignore[union-attr,operator]
    torch.save({"module": both.state_dict(), "average": {}}, tmp_path / "joint.pt")
    torch.save((generator.mel_mean, generator.mel_scale), tmp_path / "statistics.pt")
    vocoder_train.export(tmp_path, tmp_path / "out")
    assert SourceFilterVocoder.load(tmp_path / "out").decode([1, 2, 3]).size

    again = vocoder_train.acoustic_model()
    often = torch.full((CONFIG.n_units,), 1e6)
    rare = UNIT_ID["ueng3"]
    often[rare] = 0.0
    vocoder_train.start_acoustics(again, tmp_path / "out", often)
    said = torch.arange(CONFIG.n_units) != rare
    assert torch.allclose(vectors(again)[said], vectors(first)[said], atol=0.01)
    assert vectors(again)[rare].norm() < vectors(first)[rare].norm(), "nothing is left of what was never said"
    assert not again["units"].embed.weight[rare].any()  # type: ignore[union-attr,index]


def spelled(units: str) -> list[int]:
    return [UNIT_ID[name] for name in units.split()]


def test_a_rest_between_words_belongs_to_the_unit_before() -> None:
    said = as_written(spelled("sil h i sil ɪ z sil"), [20, 4, 6, 8, 4, 6, 30], "He is.")
    assert said == (spelled("sil h i ɪ z sil"), [20, 4, 14, 4, 6, 30])


def test_a_hurried_mark_gets_a_pause_out_of_the_unit_before() -> None:
    said = as_written(spelled("sil j ɛ s n O sil"), [20, 4, 6, 8, 4, 6, 30], "Yes, no.")
    assert said == (spelled("sil j ɛ s sil n O sil"), [20, 4, 6, 6, 2, 4, 6, 30])


def test_equal_sounds_that_ran_together_over_a_mark_are_two() -> None:
    said = as_written(spelled("sil t ɛ n I n sil"), [20, 4, 6, 10, 8, 6, 30], "Ten, nine.")
    assert said == (spelled("sil t ɛ n sil n I n sil"), [20, 4, 6, 4, 2, 4, 8, 6, 30])


def test_speech_of_other_words_is_not_learned_from() -> None:
    assert as_written(spelled("sil h i sil"), [20, 4, 6, 30], "She.") is None
    assert as_written(spelled("sil h i sil"), [20, 4, 6, 30], "He is.") is None
    assert as_written(spelled("sil h i ɪ z sil"), [20, 4, 6, 4, 6, 30], "He.") is None


def speech(directory: Path, count: int = 26) -> Path:
    """Utterances of noise, as `synth` writes them."""
    rng = np.random.default_rng(0)
    directory.mkdir()
    for number in range(count):
        frames = np.array([12, 9, 9, 20], np.int16)
        np.savez(
            directory / f"{number:06d}.npz",
            pcm=rng.integers(-9000, 9000, 600 * int(frames.sum()), np.int16),
            units=np.array([0, *to_ids("Ann."), 0], np.int16),
            frames=frames,
            f0=np.full(2 * int(frames.sum()), 180, np.float16),
            text=f"train\t{vocoder_train.ENGLISH_VOICE}\t1.00\tAnn.",
        )
    return directory


def test_training_goes_on_from_an_exported_vocoder_alone(tmp_path: Path) -> None:
    bundle, work = Path("model/bundles/cslm-mini/vocoder"), tmp_path / "work"
    said = speech(tmp_path / "speech")
    vocoder_train.train_acoustics(said, work, minutes=1e-4, start=bundle, batch=2)
    vocoder_train.train_joint(said, work, minutes=1e-4, adversary=False, start=bundle, batch=2)
    vocoder_train.export(work, tmp_path / "out")
    assert SourceFilterVocoder.load(tmp_path / "out").decode([1, 2, 3]).size
