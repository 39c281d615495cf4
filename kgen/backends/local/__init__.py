"""Trials as processes on this machine: ``devices`` says where, ``pool`` runs them."""
