// bw_counter against a count that starts again at N.
module proof #(parameter N = 3) (input wire clk, input wire rst_n, input wire step);
    wire last;
    reg [7:0] count;
    bw_counter #(.N(N)) dut (.clk(clk), .rst_n(rst_n), .step(step), .last(last));
    always @(posedge clk) begin
        if (!rst_n) count <= 0;
        else if (step) count <= (count == N - 1) ? 0 : count + 1;
    end
    always @* assert (last == (count == N - 1));
endmodule
