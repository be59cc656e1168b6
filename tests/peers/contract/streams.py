"""What grpcio makes of a stream that is refused or runs out of time."""

import json
import os

import grpc
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

given = json.loads(os.environ["PORTICO_CONTRACT"])
watch = grpc.insecure_channel(given["grpc"]).unary_stream(
    "/portico.access.v1.AccessService/WatchAccessRequests",
    request_serializer=StringValue.SerializeToString,
    response_deserializer=bytes,
)
bearer = [("authorization", f"Bearer {given['token']}")]


def refused(cursor, metadata, timeout=None):
    # Encoded like the request, whose cursor is field 1 as well.
    stream = watch(StringValue(value=cursor), metadata=metadata, timeout=timeout)
    try:
        for _ in stream:
            pass
    except grpc.RpcError as error:
        return error
    raise AssertionError("it ended well")


def detail(error, message):
    details = rpc_status.from_call(error).details
    assert any(one.Unpack(message) for one in details), details
    return message


assert refused("", []).code() == grpc.StatusCode.UNAUTHENTICATED
error = refused("x", bearer)
assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
assert detail(error, ErrorInfo()).reason == "cursor_invalid", error
assert detail(error, BadRequest()).field_violations[0].field == "after", error
assert refused("", bearer, 0.7).code() == grpc.StatusCode.DEADLINE_EXCEEDED
