"""Makes a full-size UniChart checkpoint with random weights, for parity and speed checks without the real weights.

    python benchmarks/parity/make_unichart.py TOKENIZER_DIR OUT_DIR [--seed 0] [--bin]

The shape is ahmed-masry/unichart-base-960's: a DonutSwin encoder (128 wide, depths 2, 2, 14, 2, windows of 10, 960 x 960
pixels) and four mBART layers (1,024 wide). TOKENIZER_DIR is any Donut tokenizer; the task tokens that it lacks are
added. Weights are scaled so that answers vary with the image and differ from token to token.
"""

import argparse
import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer
from transformers import DonutSwinConfig, DonutSwinModel, GenerationConfig, MBartConfig, MBartForCausalLM
from transformers import VisionEncoderDecoderConfig, VisionEncoderDecoderModel

TASKS = ["<chartqa>", "<extract_data_table>", "<summarize_chart>", "<opencqa>", "<s_answer>"]
PREPROCESSOR = {
    "do_align_long_axis": False, "do_normalize": True, "do_pad": True, "do_rescale": True, "do_resize": True, "do_thumbnail": True,
    "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "DonutImageProcessor", "image_std": [0.5, 0.5, 0.5],
    "processor_class": "DonutProcessor", "resample": 2, "rescale_factor": 1 / 255, "size": {"height": 960, "width": 960},
}


def configuration(vocabulary):
    encoder = DonutSwinConfig(image_size=[960, 960], patch_size=4, embed_dim=128, depths=[2, 2, 14, 2],
                              num_heads=[4, 8, 16, 32], window_size=10)
    decoder = MBartConfig(vocab_size=vocabulary, d_model=1024, decoder_layers=4, decoder_attention_heads=16,
                          decoder_ffn_dim=4096, max_position_embeddings=1536, scale_embedding=True, is_decoder=True,
                          add_cross_attention=True, add_final_layer_norm=True, pad_token_id=1, eos_token_id=2)
    return encoder, decoder, VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)


@torch.no_grad()
def scale(model):
    """Every linear keeps the variance of its input; norms, biases and positions are mildly uneven."""
    for name, parameter in model.named_parameters():
        if name.endswith("decoder.layer_norm.weight"):
            # Signs of both kinds: the tied output would repeat the last token otherwise.
            parameter.normal_(0, 1.0)
        elif "norm" in name and name.endswith("weight"):
            parameter.uniform_(0.8, 1.2)
        elif "relative_position_bias_table" in name or "embed_positions" in name:
            parameter.normal_(0, 1.0)
        elif "embed_tokens" in name:
            parameter.normal_(0, 0.06)
        elif parameter.dim() >= 2:
            parameter.normal_(0, 1.2 / parameter[0].numel() ** 0.5)
        else:
            parameter.normal_(0, 0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bin", action="store_true", help="write pytorch_model.bin instead of model.safetensors")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    tokenizer = Tokenizer.from_file(str(arguments.tokenizer / "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken(task) for task in TASKS])
    encoder, decoder, config = configuration(tokenizer.get_vocab_size())
    model = VisionEncoderDecoderModel(config=config, encoder=DonutSwinModel(encoder), decoder=MBartForCausalLM(decoder)).eval()
    scale(model)
    model.decoder.tie_weights()
    arguments.out.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(pad_token_id=1, eos_token_id=2, forced_eos_token_id=2, decoder_start_token_id=0)
    if arguments.bin:
        config.architectures = ["VisionEncoderDecoderModel"]
        config.save_pretrained(arguments.out)
        model.generation_config.save_pretrained(arguments.out)
        torch.save(model.state_dict(), arguments.out / "pytorch_model.bin")
    else:
        model.save_pretrained(arguments.out)
    (arguments.out / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")
    tokenizer.save(str(arguments.out / "tokenizer.json"))
    special = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "bos_token": "<s>"}
    (arguments.out / "tokenizer_config.json").write_text(json.dumps(special, indent=2) + "\n")
    print(f"{arguments.out}: {sum(p.numel() for p in model.parameters()):,} parameters, seed {arguments.seed}")


if __name__ == "__main__":
    main()
