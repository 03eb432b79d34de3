"""Small models of every objective, each trained by Hugging Face's Trainer on shards that Noisebeam
built.
"""
