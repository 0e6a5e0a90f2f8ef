"""Log-mel parameters of well-known models, ready to stand in a recipe.

Each was compared with the model's own feature extractor in ``transformers``; see
``tests/models/test_presets.py``.
"""

from __future__ import annotations

from mmedge.specs.log_mel import LogMel

__all__ = ["ast_log_mel", "clap_log_mel", "whisper_log_mel"]


def whisper_log_mel(mels: int = 80) -> LogMel:
    """Whisper (Radford et al., arXiv:2212.04356), 16 kHz; the models take windows of 30 s.

    Source: ``log_mel_spectrogram`` in openai/whisper's ``audio.py`` and
    ``WhisperFeatureExtractor``. The published code writes ``(log10 + 4) / 4``.

    Args:
        mels: 80; 128 for large-v3 and its offspring.
    """
    return LogMel(
        mels=mels,
        fft_size=400,
        hop=160,
        mel="slaney",
        norm="slaney",
        log="log10",
        floor=1e-10,
        span=8.0,
        drop_last=True,
        mean=-4.0,
        std=4.0,
    )


def clap_log_mel(*, fused: bool = False) -> LogMel:
    """CLAP (Wu et al., arXiv:2211.06687), 48 kHz; the models take windows of 10 s.

    Source: ``get_mel`` in LAION-AI/CLAP's ``training/data.py`` and ``ClapFeatureExtractor``,
    which keeps two banks. The network's input has an axis of channels before time:
    ``[B, 1, T, 64]``, or four of them for fused models.

    Args:
        fused: the bank of models trained with ``truncation="fusion"``
            (``clap-htsat-fused``) instead of ``"rand_trunc"``.
    """
    return LogMel(
        mels=64,
        fft_size=1024,
        hop=480,
        low_hz=0.0,
        high_hz=14_000.0,
        mel="htk" if fused else "slaney",
        norm=None if fused else "slaney",
        log="db",
        floor=1e-10,
        layout="time_mel",
    )


def ast_log_mel(mean: float = -4.2677393, std: float = 4.5689974) -> LogMel:
    """Audio Spectrogram Transformer (Gong et al., arXiv:2104.01778), 16 kHz.

    Kaldi's filter bank on samples in [-1, 1]. Source: ``ASTFeatureExtractor`` and
    YuanGongND/ast's ``dataloader.py``. The network takes 1,024 frames: a window of
    10,255 ms gives exactly those. The extractor fills up shorter clips with rows of
    ``(0 - mean) / (2 * std)``, which a recipe has to add itself.

    Args:
        mean: of the training set's log-mel values; the default is AudioSet's.
        std: their deviation. AST divides by twice that.
    """
    return LogMel(
        mels=128,
        fft_size=512,
        frame=400,
        hop=160,
        low_hz=20.0,
        mel="kaldi",
        norm=None,
        window="hann",
        periodic=False,
        center=False,
        preemphasis=0.97,
        remove_dc=True,
        floor=2.0**-23,
        mean=mean,
        std=2 * std,
        layout="time_mel",
    )
