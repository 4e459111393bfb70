#!/usr/bin/env python3
"""Golden files of the model: tiny checkpoints with logits and LoRA gradients of transformers and peft.

Writes into OUT (tests/golden/model):
  llama3/     GQA, llama3 RoPE scaling, a head_dim that is not hidden/heads, untied, two shards
  llama2/     no GQA, tied embeddings, linear RoPE scaling, newer config.json spelling, bf16 weights
  mistral/    sliding window of 16 tokens, fp16 weights
each with expected.safetensors: ids [2, T], logits [2, T, V] fp32; logits_bf16 of llama3. llama3 has
adapter/ (PEFT, A and B non-zero) too, with adapter_logits and the gradient of every A and B
("grad.NAME") for the loss sum(logits * probe) / T.

llama3 has a byte-level tokenizer with Llama-3's split rule and header chat format, so that whole tools
run on it.

The weights are random but not tiny: logits have a standard deviation above 1, so that mistakes in
attention, RoPE and norms show.
"""
import json
import math
import os
import shutil
import sys

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

VOCAB, LENGTH = 320, 48
COMMON = dict(vocab_size=VOCAB, hidden_size=48, intermediate_size=112, num_hidden_layers=3,
              max_position_embeddings=512, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)

SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
HEADER = "'<|start_header_id|>' + {role} + '<|end_header_id|>\n\n'"
TEMPLATE = ("{{ bos_token }}{% for message in messages %}{{ " + HEADER.format(role="message['role']") +
            " + message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ " +
            HEADER.format(role="'assistant'") + " }}{% endif %}")
TEXT = ["A train leaves at nine and arrives at noon, so the trip takes three hours.",
        "I counted the fence posts twice; there are twelve of them, not eleven."]


def save_tokenizer(folder):
    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=VOCAB - len(SPECIAL), min_frequency=1, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tok.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    bos = SPECIAL[0]
    tok.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tok.token_to_id(bos))])
    tok.save(os.path.join(folder, "tokenizer.json"))
    ids = {name: tok.token_to_id(s) for name, s in zip(("bos", "eos", "start", "end", "eot"), SPECIAL)}
    assert tok.get_vocab_size() == VOCAB, tok.get_vocab_size()
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as f:
        json.dump({"bos_token": bos, "eos_token": "<|eot_id|>", "chat_template": TEMPLATE,
                   "tokenizer_class": "PreTrainedTokenizerFast"}, f, indent=2)
        f.write("\n")
    return ids


def randomize(model, generator):
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.copy_(torch.rand(p.shape, generator=generator) + 0.5)
            else:
                gain = 1.2 if "lm_head" in name else 1.5
                p.copy_(torch.randn(p.shape, generator=generator) * gain / math.sqrt(p.shape[1]))


def rewrite_config(path, change):
    with open(path, encoding="utf-8") as f:
        config = json.load(f)
    change(config)
    for key in ("transformers_version", "_name_or_path"):
        config.pop(key, None)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(config, f, indent=2)
        f.write("\n")


def old_spelling(config):
    """rope_theta + rope_scaling + torch_dtype, as the published Llama-3.1 files have it."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope.get("rope_type") != "default" else None
    config["torch_dtype"] = config.pop("dtype")


def save_model(model, folder, change=lambda config: None, shards=1):
    shutil.rmtree(folder, ignore_errors=True)
    limit = sum(p.numel() * p.element_size() for p in model.parameters()) // shards + 1
    model.save_pretrained(folder, max_shard_size=limit if shards > 1 else "1GB")
    rewrite_config(os.path.join(folder, "config.json"), change)


def logits_of_saved(kind, folder, ids, dtype=torch.float32):
    """Loaded anew: casting a live model would also cast its RoPE frequencies."""
    model = kind.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()
    with torch.no_grad():
        return model(ids, use_cache=False).logits.float()


def llama3(out, generator, ids):
    config = LlamaConfig(**COMMON, num_attention_heads=6, num_key_value_heads=2, head_dim=16,
                         tie_word_embeddings=False,
                         rope_parameters={"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0,
                                          "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                          "original_max_position_embeddings": 32})
    model = LlamaForCausalLM(config).eval()
    randomize(model, generator)
    folder = os.path.join(out, "llama3")
    save_model(model, folder, old_spelling, shards=2)
    token_ids = save_tokenizer(folder)
    ends = {"bos_token_id": token_ids["bos"], "eos_token_id": [token_ids["eos"], token_ids["eot"]]}
    for name in ("config.json", "generation_config.json"):
        rewrite_config(os.path.join(folder, name), lambda config: config.update(ends))
    expected = {"ids": ids, "logits": logits_of_saved(LlamaForCausalLM, folder, ids),
                "logits_bf16": logits_of_saved(LlamaForCausalLM, folder, ids, torch.bfloat16)}
    assert expected["logits"].std() > 1

    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model = get_peft_model(model, LoraConfig(
        r=4, lora_alpha=6, lora_dropout=0.0, task_type="CAUSAL_LM",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.1)
    cfg = model.peft_config["default"]
    cfg.base_model_name_or_path, cfg.target_modules = "", sorted(cfg.target_modules)
    adapter = os.path.join(folder, "adapter")
    model.save_pretrained(adapter)
    os.remove(os.path.join(adapter, "README.md"))

    probe = torch.randn(2, LENGTH, VOCAB, generator=generator)
    logits = model(ids, use_cache=False).logits
    (logits * probe).sum().div(LENGTH).backward()
    expected["adapter_logits"], expected["probe"] = logits.detach(), probe
    for name, p in model.named_parameters():
        if p.requires_grad:
            expected["grad." + name.replace(".default", "")] = p.grad
    save_file({k: v.contiguous() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"))


def llama2(out, generator, ids):
    config = LlamaConfig(**COMMON, num_attention_heads=4, tie_word_embeddings=True,
                         rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0})
    model = LlamaForCausalLM(config).to(torch.bfloat16).eval()
    randomize(model, generator)
    folder = os.path.join(out, "llama2")
    save_model(model, folder)
    save_file({"ids": ids, "logits": logits_of_saved(LlamaForCausalLM, folder, ids)},
              os.path.join(folder, "expected.safetensors"))


def mistral(out, generator, ids):
    config = MistralConfig(**COMMON, num_attention_heads=4, num_key_value_heads=1, sliding_window=16)
    model = MistralForCausalLM(config).to(torch.float16).eval()
    randomize(model, generator)
    folder = os.path.join(out, "mistral")
    save_model(model, folder)
    save_file({"ids": ids, "logits": logits_of_saved(MistralForCausalLM, folder, ids)}, os.path.join(folder, "expected.safetensors"))


def main():
    out = sys.argv[1]
    generator = torch.Generator().manual_seed(11)
    ids = torch.randint(3, VOCAB, (2, LENGTH), generator=generator)
    os.makedirs(out, exist_ok=True)
    llama3(out, generator, ids)
    llama2(out, generator, ids)
    mistral(out, generator, ids)


if __name__ == "__main__":
    main()
