// Command streams looks at what grpc-go makes of a stream that is refused or runs out of time.
package main

import (
	"context"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"portico.example/contract/given"
)

func main() {
	with := given.Read()
	connection, err := grpc.NewClient(with.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	given.NoError(err)
	// Encoded like the request, whose cursor is field 1 as well.
	watch := func(ctx context.Context, cursor string) *status.Status {
		stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true},
			"/portico.access.v1.AccessService/WatchAccessRequests")
		if err != nil {
			return status.Convert(err)
		}
		// Where these fail, receiving says why.
		_ = stream.SendMsg(wrapperspb.String(cursor))
		_ = stream.CloseSend()
		for {
			if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
				return status.Convert(err)
			}
		}
	}
	ctx := context.Background()
	given.Equal("without a token", watch(ctx, "").Code(), codes.Unauthenticated)
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+with.Token)
	refused := watch(ctx, "x")
	given.Equal("with a bad cursor", refused.Code(), codes.InvalidArgument)
	var reason, field string
	for _, detail := range refused.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.Reason
		case *errdetails.BadRequest:
			field = detail.FieldViolations[0].Field
		}
	}
	given.Equal("reason", reason, "cursor_invalid")
	given.Equal("field", field, "after")
	ctx, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
	defer cancel()
	given.Equal("out of time", watch(ctx, "").Code(), codes.DeadlineExceeded)
}
