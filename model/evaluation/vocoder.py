"""Measures how well the vocoder is understood: it speaks sentences from their units, and Whisper transcribes them.

    python -m model.evaluation.vocoder --whisper whisper-base/ --bundle model/bundles/cslm-mini --sentences held_out.tsv
    python -m model.evaluation.vocoder --whisper whisper-base/ --bundle model/bundles/cslm-mini --speech held_out/

English: word error after lower-casing, numbers in words. Mandarin: error over syllables without tone. Whole: sentences without an
error. `--speech` takes the errors apart. It reads what `synth` made of a manifest of held-out sentences (split `train`, in the two
output voices) and compares five versions: the teacher's own audio; our generator on the teacher's spectrum, pitch and lengths; our
spectrum on its pitch and lengths; our spectrum and pitch on its lengths; and all parts ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F

from model.evaluation.judge import Judge
from model.evaluation.scores import error_rate, heard_right
from model.training import vocoder_train
from model.training.g2p import to_ids
from model.training.synth import MANDARIN_VOICE
from model.training.vocoder_speech import CONFIG, VOICES, load
from model.vocoders.source_filter.decoder import SourceFilterVocoder
from model.vocoders.source_filter.networks import N_FFT, Generator, spread
from streaming.stages import Pcm

Spoken = tuple[str, str, str, Pcm]
"""What was taken from us, language, text, audio."""


def from_text(vocoder: SourceFilterVocoder, sentences: Path) -> Iterator[Spoken]:
    """Every line `language<TAB>text`, from its units."""
    for row in sentences.read_text(encoding="utf-8").splitlines():
        language, text = row.split("\t")
        yield "all", language, text, vocoder.decode(to_ids(text, trim=False))


@torch.inference_mode()
def taken_apart(vocoder: SourceFilterVocoder, directory: Path, speech: Path) -> Iterator[Spoken]:
    """Every utterance of the teacher's in `speech`, with less and less of it the teacher's."""
    model, generator = vocoder_train.acoustic_model().eval(), Generator(CONFIG).eval()
    vocoder_train.start_acoustics(model, directory, torch.full((CONFIG.n_units,), 1e9))
    vocoder_train.start_generator(generator, directory)
    window = torch.hann_window(N_FFT)
    for item in load(speech):
        language = "zh" if VOICES[item.voice] == MANDARIN_VOICE else "en"
        melody = torch.stack([item.pitch, item.voiced], dim=-1)
        truth = (item.mel - generator.mel_mean) / generator.mel_scale
        hidden, _ = vocoder_train.hidden_states(model, item.units[None], torch.tensor([item.voice]))
        spoken = spread(hidden[0], item.lengths)[None]
        followed, sung = (model["acoustics"](spoken, given)[0] for given in (melody[None], None))
        yield "nothing", language, item.text, item.pcm.numpy()
        for name, acoustics in (
            ("generator", torch.cat([truth, melody], dim=-1)),
            ("generator and spectrum", torch.cat([followed[:, :-2], melody], dim=-1)),
            ("generator, spectrum and pitch", torch.cat([sung[:, :-1], sung[:, -1:].sigmoid()], dim=-1)),
        ):
            frames = F.pad(acoustics, (0, 0, 3, 3))
            yield name, language, item.text, vocoder_train.waveform(generator, frames[None], window)[0].numpy()
        yield "all", language, item.text, vocoder.decode(to_ids(item.text, trim=False))


def main() -> None:
    """Speak and judge; prints what was heard, then the rates."""
    parser = argparse.ArgumentParser(description="how well the vocoder is understood")
    parser.add_argument("--whisper", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--sentences", type=Path, help="lines of language<TAB>text")
    what.add_argument("--speech", type=Path, help="what `synth` made of sentences in the output voices")
    args = parser.parse_args()
    torch.set_num_threads(1)
    judge, vocoder = Judge(args.whisper), SourceFilterVocoder.load(args.bundle / "vocoder")
    spoken = (
        from_text(vocoder, args.sentences)
        if args.sentences
        else taken_apart(vocoder, args.bundle / "vocoder", args.speech)
    )
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for ours, language, text, pcm in spoken:
        heard = judge.transcribe(pcm, vocoder.sample_rate, language)
        pairs.setdefault((ours, language), []).append((heard, text))
        print(f"{ours} | {text} | {heard}", flush=True)
    for (ours, language), heard_meant in pairs.items():
        whole = sum(heard_right(heard, [meant], language) or False for heard, meant in heard_meant)
        wrong, of = error_rate(heard_meant, language), len(heard_meant)
        print(f"{language}, ours: {ours}: {wrong:.1%} wrong; {whole} of {of} sentences understood whole")


if __name__ == "__main__":
    main()
