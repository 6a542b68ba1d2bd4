"""Features of a sound that several analyses share, each computed when it is first asked for."""

from dataclasses import dataclass
from functools import cached_property

from gpu_worker.analysis.onsets import Curve, onset_strength
from gpu_worker.analysis.pitches import NoteActivations, note_activations
from gpu_worker.analysis.sound import Sound
from gpu_worker.analysis.tuning import Tuning, estimate_tuning
from gpu_worker.notation.pitch import PitchTrack, track_pitch


@dataclass(frozen=True, eq=False)
class Features:
    """One sound's features."""

    sound: Sound

    @cached_property
    def onsets(self) -> Curve:
        """Onset strength, (frames,) at onsets.FRAME_RATE."""
        return onset_strength(self.sound)

    @cached_property
    def tuning(self) -> Tuning | None:
        """Where the semitones lie; None if nothing shows it."""
        return estimate_tuning(sound=self.sound)

    @cached_property
    def activations(self) -> NoteActivations:
        """Note activations, tuned by the sound itself.

        They stand in for a constant-Q chroma, whose harmonics look like notes.
        """
        return note_activations(self.sound, tuning_cents=self.tuning.cents if self.tuning else 0.0)

    @cached_property
    def bass_pitch(self) -> PitchTrack:
        """Pitch of a bass."""
        return track_pitch(self.sound, is_bass=True)

    @cached_property
    def voice_pitch(self) -> PitchTrack:
        """Pitch of a voice."""
        return track_pitch(self.sound)
