"""Where journeys rub."""
