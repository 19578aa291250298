# Runs an application's honest statements through one Python driver and prints what the application got, a JSON
# array: for each step its rows, or the error's code. Arguments: driver port; standard input: the steps.
import json
import os
import sys

driver, port = sys.argv[1], int(sys.argv[2])
steps = json.load(sys.stdin)
login = dict(host="127.0.0.1", port=port, user=os.environ["DB_USER"], password=os.environ["DB_PASSWORD"])

if driver == "psycopg2":
    import psycopg2

    connection = psycopg2.connect(dbname=os.environ["DB_NAME"], sslmode="disable", **login)
    connection.autocommit = True
    code = lambda error: error.pgcode
elif driver == "pymysql":
    import pymysql

    connection = pymysql.connect(database=os.environ["DB_NAME"], charset="utf8mb4", autocommit=True, **login)
    code = lambda error: error.args[0]
else:
    sys.exit(f"no such driver: {driver}")


def text(value):
    return value if value is None else value.decode() if isinstance(value, bytes) else str(value)


def attempt(step):
    cursor = connection.cursor()
    values = step.get("values")
    try:
        if values:
            cursor.execute(step["sql"].replace("%", "%%").replace("?", "%s"), values)
        else:
            cursor.execute(step["sql"])
        return [[text(value) for value in row] for row in cursor.fetchall()] if cursor.description else []
    except Exception as error:
        return {"error": code(error)}
    finally:
        cursor.close()


print(json.dumps([[attempt(one) for one in step["together"]] if "together" in step else attempt(step) for step in steps]))
