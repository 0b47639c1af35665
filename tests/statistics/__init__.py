# ruff: noqa: A005 - a folder of tests, named after the package it tests
