"""The web application's parts: blueprints and what stands behind them. `app.create_app` wires them."""
