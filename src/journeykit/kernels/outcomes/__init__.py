"""What becomes of units: conversion, waits, return, friction, credit."""
