"""Orders from Postgres, customers from a CSV file, joined as both change."""

import os

from ponant import live

orders = live.postgres(
    "orders",
    host=os.environ["ORDERS_HOST"],
    port=int(os.environ.get("ORDERS_PORT", "5432")),
    database=os.environ.get("ORDERS_DATABASE", "shop"),
    user=os.environ["ORDERS_USER"],
    password_env="ORDERS_PASSWORD",
)
customers = live.csv("customers.csv", key="id")

live.table("orders", orders)
live.table("customers", customers)
live.view(
    "sales",
    """
    SELECT customers.country, count(*) AS orders, sum(orders.amount) AS amount
    FROM orders JOIN customers ON orders.customer = customers.id
    GROUP BY customers.country
    """,
)
live.query("large_markets", "SELECT * FROM sales WHERE amount >= 1000", key="country")
