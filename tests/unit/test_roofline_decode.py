"""A step of decoding against arithmetic by hand."""

import dataclasses
import doctest

import pytest

from gpu_utils import roofline, specs
from gpu_utils.roofline import LLM, LLMS, decode, decode_step, gpus_needed, largest_batch
from gpu_utils.specs import GPUSpec, UnknownFigureError

# 10 GB of memory, 100 GB/s, 10 TFLOP/s.
PART = GPUSpec(
    id="round", name="a round part", memory_bytes=10_000_000_000,
    memory_bandwidth_bytes_per_s=100e9, peak_flops_per_s={"bf16": 10e12, "fp8": 20e12},
)  # fmt: skip
# 2e9 + 0.5e9 looked up; a token's cache is 2 x 10 x 2 x 50 = 2000 elements.
DENSE = LLM("dense", 10, 8, 2, 50, 1_000_000_000, 1_000_000_000,
            embedding_parameters=500_000_000)  # fmt: skip
MIXED = dataclasses.replace(
    DENSE, name="mixed", expert_parameters=500_000_000, experts=4, active=2, embedding_parameters=0
)


def test_the_docstrings_run():
    assert doctest.testmod(decode).failed == 0


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # Meta's model cards and Mistral AI's announcement: 8.03, 69.0 (68.98), 405.9, 46.7 billion.
        ("Llama 3.1 8B", 8.03e9),
        ("Llama 2 70B", 68.98e9),
        ("Llama 3.1 405B", 405.9e9),
        ("Mixtral 8x7B", 46.7e9),
    ],
)
def test_published_models_have_their_parameters(name, parameters):
    assert LLMS[name].parameters == pytest.approx(parameters, rel=1e-3)


def test_a_mixture_uses_two_of_eight_experts():
    # Mistral AI: "12.9B parameters per token", with the embedding's 0.13.
    mixtral = LLMS["Mixtral 8x7B"]
    assert mixtral.active_parameters + mixtral.embedding_parameters == pytest.approx(12.88e9, 1e-3)


def test_gpus_are_forced_by_weights_and_caches():
    # Weights 2.5e9 x 2 = 5.0e9; usable are 9e9. A cache of 1000 tokens is 4e6: 1000 of them fit.
    assert gpus_needed(DENSE, PART, 1, 1000, "bf16") == 1
    assert gpus_needed(DENSE, PART, 1000, 1000, "bf16") == 1
    assert gpus_needed(DENSE, PART, 1001, 1000, "bf16") == 2
    # Two hold 18e9: 13e9 of caches; the next step is four, not three.
    assert gpus_needed(DENSE, PART, 3250, 1000, "bf16") == 2
    assert gpus_needed(DENSE, PART, 3251, 1000, "bf16") == 4
    # In fp8 weights and caches are half.
    assert gpus_needed(DENSE, PART, 3250, 1000, "fp8") == 1


def test_the_largest_batch_is_the_last_that_fits():
    assert largest_batch(DENSE, PART, 1, 1000, "bf16") == 1000
    assert largest_batch(DENSE, PART, 2, 1000, "bf16") == 3250
    assert largest_batch(dataclasses.replace(DENSE, shared_parameters=4 * 10**9), PART, 1, 1,
                         "bf16") == 0  # fmt: skip


def test_one_sequence_takes_the_time_of_its_bytes():
    # 2e9 parameters are read (the embedding is not): 4e9 B / 100e9 = 40 ms; the cache of 1000
    # tokens 4e6 B, 40 us.
    step = decode_step(DENSE, PART, 1, 1000, "bf16")
    assert step.weights.memory_time_s == pytest.approx(0.04)
    assert step.attention.memory_time_s == pytest.approx(4e-5)
    assert step.weights.compute_time_s == pytest.approx(4e9 / 10e12)
    assert step.tokens_per_s == pytest.approx(1 / 0.04004)


def test_a_batch_shares_the_weights_and_not_the_caches():
    # 50 sequences: weights 40 ms still; caches 50 x 40 us = 2 ms; 50 / 0.042 s.
    step = decode_step(DENSE, PART, 50, 1000, "bf16")
    assert step.tokens_per_s == pytest.approx(50 / 0.042)
    assert step.weights.limiter == "memory"
    # 2 x 2e9 FLOP x 200 / 10e12 = 80 ms is more than 40.
    large = decode_step(DENSE, PART, 200, 1000, "bf16")
    assert (large.weights.limiter, large.weights.time_s) == ("compute", pytest.approx(0.08))
    # Scores: 4 x 10 x 8 x 50 x 200,000 = 3.2e9 FLOP for 8e8 bytes: 8 ms of memory, 0.3 of compute.
    assert large.attention.compute_time_s == pytest.approx(3.2e-4)
    assert large.attention.time_s == pytest.approx(8e-3)


def test_several_gpus_share_evenly():
    one = decode_step(DENSE, PART, 1, 1000, "bf16")
    two = decode_step(DENSE, PART, 1, 1000, "bf16", gpus=2)
    assert two.tokens_per_s == pytest.approx(2 * one.tokens_per_s)
    assert two.tokens_per_s_per_gpu == pytest.approx(one.tokens_per_s_per_gpu)
    assert two.tokens_per_s_per_user == two.tokens_per_s


def test_a_mixture_reads_the_experts_that_somebody_needs():
    # One token: 1e9 + 2 x 0.5e9; two: 4 x (1 - 0.5^2) = 3 experts expected, 2.5e9 parameters.
    assert decode_step(MIXED, PART, 1, 1, "bf16").weights.memory_time_s == pytest.approx(0.04)
    assert decode_step(MIXED, PART, 2, 1, "bf16").weights.memory_time_s == pytest.approx(0.05)
    # Twice as much is calculated for two, of the two experts that each uses.
    assert decode_step(MIXED, PART, 2, 1, "bf16").weights.compute_time_s == pytest.approx(8e-4)


def test_gpus_that_cannot_hold_it_are_refused():
    with pytest.raises(ValueError, match=r"gpus must hold dense in bf16 .* 1 x a round part do "
                                         r"not; 2 do"):  # fmt: skip
        decode_step(DENSE, PART, 1001, 1000, "bf16", gpus=1)


@pytest.mark.parametrize(
    ("spec", "args", "error", "says"),
    [
        (PART, (0, 1000, "bf16"), ValueError, "batch must be at least 1, got 0"),
        (PART, (1, 0, "bf16"), ValueError, "context must be at least 1, got 0"),
        (PART, (1, 1, "fp5"), ValueError, "unknown dtype 'fp5'"),
        (PART, (1, 1, "fp4"), UnknownFigureError, "fp4"),
        (specs.get("t4"), (1, 1, "bf16"), UnknownFigureError, "bf16"),
        (dataclasses.replace(PART, memory_bytes=None), (1, 1, "bf16"), UnknownFigureError,
         "memory_bytes"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(spec, args, error, says):
    with pytest.raises(error, match=says):
        decode_step(DENSE, spec, *args)


def test_is_offered_by_the_room():
    assert roofline.decode_step is decode_step
