"""Training scripts: a small model for each objective, trained by Hugging Face's Trainer on built
shards.
"""
